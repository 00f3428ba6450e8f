//! The slave's end of a link of the plain dialect, to an existing proxy: JSON-RPC requests in, one response for each, as
//! text frames.
//!
//! Must not know methods: the edge answers requests as it does on the slave's own port.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::{CloseFrame, ConnectionError, LinkEnd, Outgoing, Signal};
use metrics::Histogram;
use protocol::link::ids::LinkId;
use protocol::link::liveness::RttEstimator;
use protocol::mcp::envelope;
use protocol::mcp::failure::Failure;
use runtime::call_line;
use runtime::call_lines::{Budget, Lines, PER_SECOND, admit_line};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::Level;

use super::disconnect::DisconnectReason;
use super::shared::Links;
use crate::endpoint::Stage;
use crate::metrics::round_trips;

/// Largest number of concurrent requests; the dialect itself has no limit.
const MAX_CONCURRENT: usize = 1024;

/// The lines about requests. Calls among them are counted by the executor, and other requests are not.
static REQUESTS: LazyLock<Budget> = LazyLock::new(|| Budget::new(PER_SECOND, Instant::now()));

/// The lines about responses.
static RESPONSES: LazyLock<Budget> = LazyLock::new(|| Budget::new(PER_SECOND, Instant::now()));

/// A link of the plain dialect.
pub(super) struct PlainLink<'a> {
    links: &'a Links,
    id: LinkId,
    signal: Arc<Signal>,
    /// The tasks that answer requests; aborted with the link, as their answers could not be delivered.
    answers: JoinSet<Bytes>,
    /// Whether a request was started after [`LinkEnd::register`] of this round.
    unregistered: bool,
    outbox: VecDeque<Bytes>,
    round_trips: Histogram,
}

impl<'a> PlainLink<'a> {
    pub(super) fn new(links: &'a Links, id: LinkId, signal: Arc<Signal>) -> Self {
        Self {
            links,
            id,
            signal,
            answers: JoinSet::new(),
            unregistered: false,
            outbox: VecDeque::new(),
            round_trips: round_trips(),
        }
    }

    /// Starts a request, or refuses it at once.
    fn start(&mut self, request: Bytes) {
        log_request(&request);
        if self.links.endpoint.stage() != Stage::Serving {
            self.outbox.push_back(refusal(&request, &Failure::Draining));
        } else if self.answers.len() >= MAX_CONCURRENT {
            let what = format!("the slave answers {MAX_CONCURRENT} requests of a proxy at once");
            self.outbox.push_back(refusal(&request, &Failure::Busy { what, retry_after: 1 }));
        } else {
            let edge = Arc::clone(&self.links.edge);
            self.answers.spawn(async move { edge.answer_plain(request).await });
            self.unregistered = true;
        }
    }
}

impl LinkEnd for PlainLink<'_> {
    type Stop = DisconnectReason;

    fn register(&mut self, cx: &mut Context<'_>, _: Instant) -> Result<(), DisconnectReason> {
        // Each transmission reads the state that the signal announces.
        let _ = self.signal.take(cx);
        while let Poll::Ready(Some(answer)) = self.answers.poll_join_next(cx) {
            match answer {
                Ok(answer) => self.outbox.push_back(answer),
                // The proxy's timeout ends the request.
                Err(error) => tracing::error!("A request could not be answered: {error}"),
            }
        }
        Ok(())
    }

    fn on_binary(&mut self, _: Bytes, _: Instant) -> Result<(), DisconnectReason> {
        Err(DisconnectReason::ProtocolError("binary message on a link of the plain dialect".into()))
    }

    fn on_text(&mut self, text: Utf8Bytes, _: Instant) -> Result<(), DisconnectReason> {
        self.start(Bytes::from(text));
        Ok(())
    }

    fn on_pong(&mut self, _: &[u8], _: Instant) -> Result<(), DisconnectReason> {
        Ok(())
    }

    fn on_round_trip(&mut self, _: &RttEstimator, answered: Option<Duration>, _: Instant) {
        if let Some(trip) = answered {
            self.round_trips.record(trip);
        }
    }

    fn on_read(&mut self, _: Instant) -> Result<(), DisconnectReason> {
        Ok(())
    }

    fn wants_to_send(&mut self) -> bool {
        !self.outbox.is_empty()
    }

    fn is_busy(&self) -> bool {
        // Each answer is a separate message, so waiting for others gains nothing.
        false
    }

    fn transmit(&mut self, out: &mut Outgoing, _: Instant) -> Result<bool, DisconnectReason> {
        if let Some(answer) = self.outbox.pop_front() {
            log_response(&answer);
            out.send_text(text(&answer));
            return Ok(true);
        }
        match self.links.endpoint.stage() {
            Stage::Closing => return Err(DisconnectReason::Closing),
            Stage::Draining | Stage::Drained if self.answers.is_empty() => {
                self.links.endpoint.link_drained(self.id);
            }
            Stage::Serving | Stage::Draining | Stage::Drained => {}
        }
        Ok(false)
    }

    fn on_timer(&mut self, now: Instant) -> Result<Option<Instant>, DisconnectReason> {
        Ok(std::mem::take(&mut self.unregistered).then_some(now))
    }

    fn on_close(&mut self, frame: Option<CloseFrame>) -> DisconnectReason {
        DisconnectReason::from_close(frame)
    }

    fn on_error(&mut self, error: ConnectionError) -> DisconnectReason {
        error.into()
    }

    fn on_silence(&mut self, time: Duration) -> DisconnectReason {
        DisconnectReason::silence(time)
    }
}

/// Logs the documented phrase with the method and the proxy's id, which is the only id that both sides know in this
/// dialect.
fn log_request(request: &Bytes) {
    let lines = admit_line(&REQUESTS, Instant::now());
    if lines == Lines::Off && !tracing::enabled!(Level::DEBUG) {
        return;
    }
    if let Ok(envelope::Message::Request { id, method, .. }) = envelope::parse(request) {
        call_line!(lines, request_id = %id, "Received request from proxy: {} (id: {id})", method.as_str());
    } else {
        call_line!(lines, "Received request from proxy: no JSON-RPC request");
    }
}

fn log_response(response: &Bytes) {
    let lines = admit_line(&RESPONSES, Instant::now());
    if lines == Lines::Off && !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let bytes = response.len();
    if let Ok(envelope::Message::Response { id }) = envelope::parse(response) {
        call_line!(lines, request_id = %id, bytes, "Sending response back to proxy");
    } else {
        call_line!(lines, bytes, "Sending response back to proxy");
    }
}

/// Builds a response that refuses a request; its id is null where none can be read.
fn refusal(request: &Bytes, failure: &Failure) -> Bytes {
    let id = match envelope::parse(request) {
        Ok(envelope::Message::Request { id, .. }) => id.get(),
        _ => "null",
    };
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, failure.error_object()))
}

/// Converts an answer to the valid UTF-8 that a text frame requires; invalid bytes are replaced.
fn text(answer: &Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(answer.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(answer).into_owned().into())
}
