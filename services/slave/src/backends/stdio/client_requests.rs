//! Requests of a legacy child to the client of one of its calls (2025-11-25, elicitation, sampling, roots): those that have no answer yet.
//! Must not know how the client is asked.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;

use super::messages;
use super::session::Session;
use crate::call::{Answer, ClientAnswer, ClientRequest, Exchange, PendingAnswer};

/// Requests of one call that may wait for an answer at once.
const MAX_OPEN: usize = 64;

/// A request of the child.
#[derive(Debug)]
pub(super) struct ChildRequest {
    /// The child's id as JSON.
    pub(super) id: Bytes,
    pub(super) request: ClientRequest,
}

impl ChildRequest {
    /// Returns the bytes that are held while the request waits for its reader.
    pub(super) fn size(&self) -> usize {
        self.id.len() + self.request.params.as_ref().map_or(0, Bytes::len)
    }
}

/// The requests of one call that have no answer. Dropping them tells the child that none comes.
pub(super) struct OpenRequests<'a> {
    session: &'a Arc<Session>,
    open: Vec<(Bytes, PendingAnswer)>,
    /// Why the modern client could not be asked: what the call needs, if it fails for that.
    lacking: Option<Failure>,
}

impl<'a> OpenRequests<'a> {
    /// Returns an empty set for a call of this session.
    pub(super) fn new(session: &'a Arc<Session>) -> Self {
        Self { session, open: Vec::new(), lacking: None }
    }

    /// Asks the client. A client that cannot be asked is an error for the child, which may go on without.
    pub(super) fn ask(&mut self, asked: ChildRequest, exchange: &mut Exchange) {
        if self.open.len() >= MAX_OPEN {
            let text = format!("{MAX_OPEN} requests of this call wait for an answer already");
            return self.session.post(messages::refuse_request(&asked.id, -32603, &text));
        }
        match exchange.ask(asked.request) {
            Ok(answer) => self.open.push((asked.id, answer)),
            Err(failure) => {
                self.session.post(messages::refuse_request(&asked.id, -32601, &failure.to_string()));
                if matches!(failure, Failure::MissingCapability { .. }) {
                    self.lacking.get_or_insert(failure);
                }
            }
        }
    }

    /// Returns the child's answer, or what the client lacks where the call failed after it could not be asked (2026-07-28,
    /// `MissingRequiredClientCapability`).
    pub(super) fn conclude(&mut self, answer: Answer, client: Era) -> Result<Answer, Failure> {
        let failed = answer.error || answer.tool_error;
        match self.lacking.take().filter(|_| failed && client == Era::Modern) {
            Some(lacking) => Err(lacking),
            None => Ok(answer),
        }
    }

    /// Forgets a request that the child withdrew.
    pub(super) fn withdraw(&mut self, id: &Bytes) {
        self.open.retain(|(open, _)| open != id);
    }

    /// Resolves when an answer has gone to the child; never while none is waited for. Cancel-safe.
    ///
    /// # Errors
    /// There will be no answer: the call has to end.
    pub(super) async fn answered(&mut self) -> Result<(), Failure> {
        let (at, answer) = poll_fn(|cx| {
            for (at, (_, answer)) in self.open.iter_mut().enumerate() {
                if let Poll::Ready(answer) = Pin::new(answer).poll(cx) {
                    return Poll::Ready((at, answer));
                }
            }
            Poll::Pending
        })
        .await;
        let (id, _) = self.open.swap_remove(at);
        match answer {
            Ok(ClientAnswer::Result(result)) => self.session.post(messages::answer(&id, "result", &result)),
            Ok(ClientAnswer::Error(error)) => self.session.post(messages::answer(&id, "error", &error)),
            Err(failure) => {
                self.session.post(messages::refuse_request(&id, -32603, &failure.to_string()));
                return Err(failure);
            }
        }
        Ok(())
    }
}

impl Drop for OpenRequests<'_> {
    fn drop(&mut self) {
        for (id, _) in &self.open {
            self.session.post(messages::refuse_request(id, -32603, "the call that asked has ended"));
        }
    }
}
