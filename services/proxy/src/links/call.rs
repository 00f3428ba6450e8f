//! A call as it is handed to a slave. Knows neither links nor slaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;
use runtime::telemetry::LogContext;

use crate::trace::CallTrace;

/// A call on its way to a slave.
#[derive(Clone)]
pub(crate) struct OpenCall {
    /// Id of the call on every link.
    pub(crate) id: CallId,
    /// Call header, as JSON.
    pub(crate) header: Bytes,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// Name of the tool as the slave offers it; `None` where the call is for no tool.
    pub(crate) name: Option<Arc<str>>,
    /// The client's era of MCP.
    pub(crate) era: Era,
    /// Longest silence before the call fails (`REQUEST_TIMEOUT`).
    pub(crate) silence: Duration,
    /// Time at which the call fails in any case (`REQUEST_TIMEOUT_TOTAL`).
    pub(crate) last: Instant,
    /// Span of the call, and the trace that it belongs to.
    pub(crate) trace: CallTrace,
}

impl OpenCall {
    /// Returns the context of the call's log lines.
    pub(crate) fn subject(&self) -> LogContext {
        self.trace.subject(self.id)
    }
}
