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
    /// Its name on every link.
    pub(crate) id: CallId,
    /// JSON call header.
    pub(crate) header: Bytes,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// The slave's own name of the tool.
    pub(crate) name: Option<Arc<str>>,
    /// How the client speaks.
    pub(crate) era: Era,
    /// How long it may be silent.
    pub(crate) silence: Duration,
    /// When it is given up in any case.
    pub(crate) last: Instant,
    /// What its log lines and spans are about.
    pub(crate) trace: CallTrace,
}

impl OpenCall {
    /// What lines about it are about.
    pub(crate) fn subject(&self) -> LogContext {
        self.trace.log_context(self.id)
    }
}
