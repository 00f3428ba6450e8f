//! How a call's events and end leave the executor, and how its reader reaches back into it.
//!
//! Must not know backends or what carries the events on.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;
use tokio_util::sync::CancellationToken;

/// Nobody reads the call any more, or what is kept for it has no more room. The call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the call is gone")]
pub struct SinkClosed;

/// Where one call's events and its end go. Lives in the call's own task.
pub trait CallSink: Send + 'static {
    /// Takes one whole JSON-RPC notification (or, with `request`, a request of the backend) without newlines, the client's own progress token restored.
    ///
    /// Resolves when more may be sent: a slow reader slows its own call and no other. Cancel-safe or not does not
    /// matter: the executor drops the future only when it ends the call.
    fn event(&mut self, json: Bytes, request: bool) -> BoxFuture<'_, Result<(), SinkClosed>>;

    /// What the call's log lines are about.
    fn subject(&self) -> Option<LogContext> {
        None
    }

    /// What the proxy calls the call; `None`: it came to the slave's own port.
    fn origin(&self) -> Option<CallId> {
        None
    }

    /// Takes the end, exactly once. Must not block.
    fn end(self: Box<Self>, end: CallEnd);
}

/// What ends a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// Raw JSON without newlines: the `result` value, or the `error` object.
    pub payload: Bytes,
    /// `payload` is an error object.
    pub error: bool,
    /// The result says `isError: true`: a hint for counting.
    pub tool_error: bool,
    /// HTTP status for a modern client; 0 means 200.
    pub status: u16,
}

impl CallEnd {
    /// The end of a call that failed in our hands.
    pub fn failed(failure: &Failure, era: Era) -> Self {
        let status = match failure.status(era) {
            200 => 0,
            other => other,
        };
        Self { payload: failure.error_object().into(), error: true, tool_error: false, status }
    }
}

/// A running call as its reader holds it. Dropping it leaves the call running.
#[derive(Clone, Debug)]
pub struct CallHandle {
    cancelled: CancellationToken,
}

impl CallHandle {
    pub(super) fn new() -> (Self, CancellationToken) {
        let cancelled = CancellationToken::new();
        (Self { cancelled: cancelled.clone() }, cancelled)
    }

    /// Cancels the call: the backend is told, and the sink gets [`Failure::Cancelled`] as its end unless it already
    /// had one. Idempotent.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }
}
