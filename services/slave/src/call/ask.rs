//! Requests of a backend to the client of a call: what is asked, and the answer that is waited for (elicitation, sampling, roots). Must
//! not know how a client is asked: that follows from its era.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use tokio::sync::oneshot;

/// Methods that a backend may ask a client with.
pub(crate) const ASKABLE: [&str; 3] = ["elicitation/create", "roots/list", "sampling/createMessage"];

/// A request of a backend to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// JSON-RPC method, say `elicitation/create`.
    pub method: String,
    /// `params` as JSON, as the backend wrote them.
    pub params: Option<Bytes>,
}

/// The client's answer, as it wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAnswer {
    /// The `result` value as JSON.
    Result(Bytes),
    /// The `error` object as JSON.
    Error(Bytes),
}

/// The sender of one answer. Dropping it fails the request with [`Failure::Cancelled`].
#[derive(Debug)]
pub struct AnswerSender(oneshot::Sender<Result<ClientAnswer, Failure>>);

/// An answer that is waited for: a future, cancel-safe. Dropping it withdraws the request.
#[derive(Debug)]
pub struct PendingAnswer(oneshot::Receiver<Result<ClientAnswer, Failure>>);

impl PendingAnswer {
    /// Returns an answer to wait for, and where it is given.
    pub(crate) fn new() -> (AnswerSender, Self) {
        let (sender, receiver) = oneshot::channel();
        (AnswerSender(sender), Self(receiver))
    }
}

impl AnswerSender {
    /// Gives the answer, or the reason why there is none. A request that was withdrawn takes none.
    pub(crate) fn give(self, answer: Result<ClientAnswer, Failure>) {
        let _ = self.0.send(answer);
    }

    /// Returns whether nobody waits for the answer any more.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.is_closed()
    }
}

impl Future for PendingAnswer {
    type Output = Result<ClientAnswer, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(Failure::Cancelled)))
    }
}
