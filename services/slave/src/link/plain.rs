//! The slave's end of a link of the plain dialect, to an existing proxy: JSON-RPC requests in, one response for each, as
//! text frames.
//!
//! Must not know methods: the edge answers requests as it does on the slave's own port.

use std::sync::{Arc, LazyLock};
use std::task::Context;
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
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::Level;

use super::disconnect::DisconnectReason;
use super::plain_proxy::PlainProxy;
use super::shared::Links;
use crate::endpoint::Stage;
use crate::metrics::round_trips;

/// The lines about requests. Calls among them are counted by the executor, and other requests are not.
static REQUESTS: LazyLock<Budget> = LazyLock::new(|| Budget::new(PER_SECOND, Instant::now()));

/// The lines about responses.
static RESPONSES: LazyLock<Budget> = LazyLock::new(|| Budget::new(PER_SECOND, Instant::now()));

/// A link of the plain dialect.
pub(super) struct PlainLink<'a> {
    links: &'a Links,
    /// The proxy's requests, which outlive the link.
    proxy: Arc<PlainProxy>,
    id: LinkId,
    signal: Arc<Signal>,
    round_trips: Histogram,
}

impl<'a> PlainLink<'a> {
    /// Makes the link the one that the answers to the proxy go out on.
    pub(super) fn new(links: &'a Links, proxy: Arc<PlainProxy>, id: LinkId, signal: Arc<Signal>) -> Self {
        proxy.link_up(id, &signal);
        Self { links, proxy, id, signal, round_trips: round_trips() }
    }

    /// Starts a request, or refuses it at once.
    fn start(&self, request: Bytes) {
        log_request(&request);
        if self.links.endpoint.stage() == Stage::Serving {
            self.proxy.start(request);
        } else {
            self.proxy.refuse(&request, &Failure::Draining);
        }
    }
}

impl LinkEnd for PlainLink<'_> {
    type Stop = DisconnectReason;

    fn register(&mut self, cx: &mut Context<'_>, _: Instant) -> Result<(), DisconnectReason> {
        // Each transmission reads the state that the signal announces.
        let _ = self.signal.take(cx);
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
        self.proxy.has_answer()
    }

    fn is_busy(&self) -> bool {
        // Each answer is a separate message, so waiting for others gains nothing.
        false
    }

    fn gather(&mut self) {}

    fn transmit(&mut self, out: &mut Outgoing, _: Instant) -> Result<bool, DisconnectReason> {
        let stage = self.links.endpoint.stage();
        if stage == Stage::Closing {
            self.proxy.give_up();
        }
        if let Some(answer) = self.proxy.next_answer(self.id) {
            log_response(&answer);
            out.send_text(text(&answer));
            return Ok(true);
        }
        match stage {
            Stage::Closing => return Err(DisconnectReason::Closing),
            Stage::Draining | Stage::Drained if self.proxy.is_idle() => {
                self.links.endpoint.link_drained(self.id);
            }
            Stage::Serving | Stage::Draining | Stage::Drained => {}
        }
        Ok(false)
    }

    fn on_timer(&mut self, _: Instant) -> Result<Option<Instant>, DisconnectReason> {
        Ok(None)
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

/// Converts an answer to the valid UTF-8 that a text frame requires; invalid bytes are replaced.
fn text(answer: &Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(answer.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(answer).into_owned().into())
}
