//! A call as the dispatcher keeps it while it is queued, sent or sent again. Must not know slaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::header::CallPlace;
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;
use runtime::call_lines::Lines;
use runtime::telemetry::LogContext;

use crate::links::CallRequest;
use crate::trace::CallTrace;

/// A call on its way to a slave.
#[derive(Clone)]
pub(crate) struct OpenCall {
    /// Its id on every link.
    pub(crate) id: CallId,
    /// JSON call header.
    pub(crate) header: Bytes,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// The slave's own name of the tool.
    pub(crate) name: Option<Arc<str>>,
    /// The era of the client.
    pub(crate) era: Era,
    /// Longest time without a sign of life from the slave.
    pub(crate) silence: Duration,
    /// Time at which the call fails in any case.
    pub(crate) last: Instant,
    /// Told where the call runs, where its client may come back to it.
    pub(crate) place: Option<CallPlace>,
    /// Whether its log lines are written.
    pub(crate) lines: Lines,
    /// Trace of the call: log context and spans.
    pub(crate) trace: CallTrace,
}

impl OpenCall {
    /// Returns the context for log lines about the call.
    pub(crate) fn log_context(&self) -> LogContext {
        self.trace.log_context(self.id)
    }

    /// Returns whether the client gets event ids, by which it may come back to the call.
    pub(crate) fn may_return(&self) -> bool {
        self.place.as_ref().is_some_and(CallPlace::has_ids)
    }

    /// Returns what a slave needs of the call.
    pub(crate) fn request(&self) -> CallRequest<'_> {
        CallRequest {
            id: self.id,
            header: &self.header,
            message: &self.message,
            name: self.name.as_deref(),
            era: self.era,
            silence: self.silence,
            place: self.place.as_ref(),
            last: self.last,
        }
    }
}
