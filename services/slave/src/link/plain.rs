//! A link of the plain dialect, to an existing proxy: JSON-RPC requests in, one response for each, as text frames.
//!
//! Must not know methods: the edge answers them as it does on the slave's own port.

use std::collections::VecDeque;

use bytes::Bytes;
use protocol::link::ids::LinkId;
use protocol::mcp::envelope;
use protocol::mcp::failure::Failure;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tracing::Level;

use super::pulse::Pulse;
use super::socket::Socket;
use super::{Ended, Links};
use crate::endpoint::Stage;

/// Requests that are answered at once. The dialect has no other bound.
const AT_ONCE: usize = 1024;

/// One link.
pub(super) struct Plain<'a> {
    links: &'a Links,
    id: LinkId,
    socket: Socket,
    inbox: Vec<Message>,
    /// Dropped with the link: nobody could be given the answers.
    answers: JoinSet<Bytes>,
    outbox: VecDeque<Bytes>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(links: &'a Links, id: LinkId, socket: Socket, early: Vec<Message>) -> Self {
        Self { links, id, socket, inbox: early, answers: JoinSet::new(), outbox: VecDeque::new() }
    }

    /// Until it ends. The socket comes back for a last word.
    pub(super) async fn run(mut self, wake: &Notify, mut pulse: Pulse) -> (Ended, Socket) {
        loop {
            if let Err(ended) = self.step(wake, &mut pulse).await {
                return (ended, self.socket);
            }
        }
    }

    async fn step(&mut self, wake: &Notify, pulse: &mut Pulse) -> Result<(), Ended> {
        self.take(pulse)?;
        self.transmit()?;
        tokio::select! {
            biased;
            done = self.socket.io(&mut self.inbox) => done?,
            Some(answer) = self.answers.join_next() => match answer {
                Ok(answer) => self.outbox.push_back(answer),
                // The proxy gives the request up when its time is over.
                Err(error) => tracing::error!("A request could not be answered: {error}"),
            },
            () = wake.notified() => {}
            () = pulse.due() => pulse.beat(&mut self.socket)?,
        }
        Ok(())
    }

    fn take(&mut self, pulse: &mut Pulse) -> Result<(), Ended> {
        let stage = self.links.endpoint.stage();
        for message in std::mem::take(&mut self.inbox) {
            match message {
                Message::Text(text) => self.begin(Bytes::from(text), stage),
                Message::Pong(payload) => pulse.answered(&payload),
                _ => return Err(Ended::Misbehaved("binary message on a link of the plain dialect".into())),
            }
        }
        Ok(())
    }

    fn begin(&mut self, request: Bytes, stage: Stage) {
        if tracing::enabled!(Level::DEBUG) {
            log_request(&request);
        }
        if stage != Stage::Serving {
            self.outbox.push_back(refusal(&request, &Failure::Draining));
        } else if self.answers.len() >= AT_ONCE {
            let what = format!("the slave answers {AT_ONCE} requests of a proxy at once");
            self.outbox.push_back(refusal(&request, &Failure::Busy { what, retry_after: 1 }));
        } else {
            let edge = std::sync::Arc::clone(&self.links.edge);
            self.answers.spawn(async move { edge.answer_plain(request).await });
        }
    }

    fn transmit(&mut self) -> Result<(), Ended> {
        if self.socket.is_busy() {
            return Ok(());
        }
        if let Some(answer) = self.outbox.pop_front() {
            if tracing::enabled!(Level::DEBUG) {
                log_response(&answer);
            }
            self.socket.send(Message::Text(text(&answer)));
            return Ok(());
        }
        match self.links.endpoint.stage() {
            Stage::Closing => Err(Ended::Closing),
            Stage::Draining | Stage::Drained if self.answers.is_empty() => {
                self.links.endpoint.link_drained(self.id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The phrase that people look for, with the method and the proxy's id: all that the two sides share in this dialect.
fn log_request(request: &Bytes) {
    if let Ok(envelope::Message::Request { id, method, .. }) = envelope::parse(request) {
        tracing::debug!(request_id = %id, "Received request from proxy: {} (id: {id})", method.as_str());
    } else {
        tracing::debug!("Received request from proxy: no JSON-RPC request");
    }
}

fn log_response(response: &Bytes) {
    let bytes = response.len();
    if let Ok(envelope::Message::Response { id }) = envelope::parse(response) {
        tracing::debug!(request_id = %id, bytes, "Sending response back to proxy");
    } else {
        tracing::debug!(bytes, "Sending response back to proxy");
    }
}

/// A response that refuses a request; its id is null where none can be read.
fn refusal(request: &Bytes, failure: &Failure) -> Bytes {
    let id = match envelope::parse(request) {
        Ok(envelope::Message::Request { id, .. }) => id.get(),
        _ => "null",
    };
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, failure.error_object()))
}

/// An answer as a text frame has to be. What a backend says in another encoding is made readable, not dropped.
fn text(answer: &Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(answer.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(answer).into_owned().into())
}
