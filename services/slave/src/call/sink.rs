//! The interface through which a call's events and end leave the executor. Must not know backends or what carries
//! the events on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::ids::CallId;
use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;

use super::ask::{ClientRequest, PendingAnswer};
use super::end::CallEnd;

/// The error of a sink whose reader is gone, or whose buffer has no more room. The call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the call is gone")]
pub struct SinkClosed;

/// The receiver of one call's events and end. Lives in the call's own task.
pub trait CallSink: Send + 'static {
    /// Takes one whole JSON-RPC notification without newlines, with the client's own progress token.
    ///
    /// Resolves when more may be sent: a slow reader slows its own call and no other. Need not be cancel-safe: the
    /// executor drops the future only when it ends the call.
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>>;

    /// Tells the reader that the call's backend shows life, where it can be told without an event: its silence timeout
    /// starts anew. May be called often. Must not block.
    fn alive(&mut self) {}

    /// Asks the client of the call. Does not block: several requests may be open at once, and events go on.
    ///
    /// # Errors
    /// The client cannot be asked: the call is to end with this failure.
    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        Err(Failure::InputUnsupported { wanted: request.method })
    }

    /// Sends one whole JSON-RPC request without newlines to the client. Does not block.
    ///
    /// # Errors
    /// The reader is gone, or takes no requests.
    fn request(&mut self, _json: Bytes) -> Result<(), SinkClosed> {
        Err(SinkClosed)
    }

    /// What ids begin with that the client gives back, so that any proxy finds this slave; `None`: nothing.
    fn label(&self) -> Option<Arc<str>> {
        None
    }

    /// The context for the call's log lines.
    fn log_context(&self) -> Option<LogContext> {
        None
    }

    /// The proxy's id of the call; `None` if the call came to the slave's own port.
    fn origin(&self) -> Option<CallId> {
        None
    }

    /// Takes the end, exactly once. Must not block.
    fn end(self: Box<Self>, end: CallEnd);
}
