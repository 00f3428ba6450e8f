//! The interface of the executor towards the endpoint, which receives calls. Must not know how calls run.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::log_level::LogLevel;

use super::handle::CallHandle;
use super::sink::CallSink;

/// A call that was begun.
pub(crate) struct BegunCall {
    pub(crate) handle: CallHandle,
    /// Runs the call to its end; `None`: it has ended. Dropping it drops the call without an end.
    pub(crate) run: Option<BoxFuture<'static, ()>>,
}

/// Something that runs calls.
pub(crate) trait Execute: Send + Sync + 'static {
    /// Begins one call and returns at once. `message` is the client's whole JSON-RPC request.
    ///
    /// The sink gets events, then exactly one end, also for calls that cannot run at all.
    fn execute(&self, header: CallHeader, message: Bytes, sink: Box<dyn CallSink>) -> BegunCall;

    /// Takes the level of log messages that a client's session wants from now on.
    fn set_log_level(&self, _session: &str, _level: LogLevel) {}

    /// Learns that a client's session does not want updates of a resource any more.
    fn unsubscribe(&self, _session: &str, _uri: &str) {}

    /// Passes a notification of a session's client to backends that run for this session alone.
    fn notify(&self, _session: &str, _message: Bytes) {}

    /// Learns that a client ended its session.
    fn end_session(&self, _session: &str) {}
}
