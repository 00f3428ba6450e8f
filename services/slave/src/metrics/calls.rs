//! Metrics of calls. Knows tools and backends by name only.

use std::time::Duration;

use front::metrics::{Ended, Operations, operation};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use protocol::mcp::era::Version;
use protocol::mcp::failure::{self, Failure};
use runtime::metrics::Names;

use super::table::{BACKEND_CALLS, CALL_DURATION, CALLS, CLIENT_OPERATIONS, IN_FLIGHT};
use crate::call::Answer;

/// A backend may change its tools as often as it likes.
static TOOL_NAMES: Names = Names::new();

/// The series of one tool, looked up once: a call costs a few atomic operations.
pub(crate) struct ToolMeters {
    tool: String,
    backend: String,
    ok: Counter,
    tool_error: Counter,
    error: Counter,
    in_flight: Gauge,
    seconds: Histogram,
    of_backend: [Counter; 4],
    asked: Operations,
    served: Operations,
}

/// A call that runs: it leaves the gauge when dropped, however it ends.
pub(crate) struct InFlight<'a> {
    meters: &'a ToolMeters,
}

impl ToolMeters {
    /// The series of a tool of the catalog. The recorder must be installed before.
    pub(crate) fn new(tool: &str, backend: &str) -> Self {
        let tool = TOOL_NAMES.bounded(tool);
        let ended = |outcome: &'static str| counter!(CALLS, "tool" => tool.clone(), "outcome" => outcome);
        let of_backend = |outcome: &'static str| counter!(BACKEND_CALLS, "backend" => backend.to_owned(), "outcome" => outcome);
        Self {
            ok: ended("ok"),
            tool_error: ended("tool_error"),
            error: ended("error"),
            in_flight: gauge!(IN_FLIGHT, "tool" => tool.clone()),
            seconds: histogram!(CALL_DURATION, "tool" => tool.clone()),
            of_backend: ["ok", "tool_error", "error", "failed"].map(of_backend),
            asked: Operations::new((CLIENT_OPERATIONS, "pipe"), ("tools/call", &tool)),
            served: Operations::calls(&tool),
            tool,
            backend: backend.to_owned(),
        }
    }

    /// Whether they are those of this backend's tool.
    pub(crate) fn are_of(&self, backend: &str) -> bool {
        self.backend == backend
    }

    /// A call for the tool arrived.
    pub(crate) fn call_began(&self) -> InFlight<'_> {
        self.in_flight.increment(1);
        InFlight { meters: self }
    }

    /// A backend that speaks this version of MCP answered a call.
    pub(crate) fn asked(&self, version: Version, answer: &Result<Answer, Failure>, elapsed: Duration) {
        self.asked.ended(version, ended(answer), elapsed.as_secs_f64());
    }
}

/// A backend answered something else than a call.
pub(crate) fn asked(method: &'static str, ended: Ended, elapsed: Duration) {
    operation((CLIENT_OPERATIONS, "pipe"), method, ended, elapsed.as_secs_f64());
}

/// How an operation with this answer ended.
pub(crate) fn ended(answer: &Result<Answer, Failure>) -> Ended {
    match answer {
        Ok(Answer { error: true, payload, .. }) => {
            failure::code_in(payload).map_or(Ended::Unanswered("_OTHER"), Ended::Code)
        }
        Ok(Answer { tool_error: true, .. }) => Ended::ToolError,
        Ok(_) => Ended::Well,
        Err(failure) => Ended::Unanswered(failure.spec().kind),
    }
}

impl InFlight<'_> {
    /// The call ended after `elapsed`.
    pub(crate) fn ended(self, answer: &Result<Answer, Failure>, elapsed: Duration) {
        let meters = self.meters;
        let [ok, tool_error, error, failed] = &meters.of_backend;
        meters.seconds.record(elapsed);
        let (own, of_backend) = match answer {
            Ok(Answer { error: true, .. }) => (&meters.error, error),
            Ok(Answer { tool_error: true, .. }) => (&meters.tool_error, tool_error),
            Ok(_) => (&meters.ok, ok),
            Err(failure) => {
                let kind = failure.spec().kind;
                tracing::debug!(tool = meters.tool, kind, "call failed: {failure}");
                (&counter!(CALLS, "tool" => meters.tool.clone(), "outcome" => kind), failed)
            }
        };
        own.increment(1);
        of_backend.increment(1);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meters.in_flight.decrement(1);
    }
}

/// A call was refused before it had a tool.
pub(crate) fn call_refused(failure: &Failure) {
    tracing::debug!(kind = failure.spec().kind, "call refused: {failure}");
    counter!(CALLS, "tool" => "", "outcome" => failure.spec().kind).increment(1);
}

/// A call of the slave's own port ended; `tool` is what the catalog knows of it.
pub(crate) fn served(tool: Option<&ToolMeters>, version: Version, (ended, elapsed): (Ended, Duration)) {
    match tool {
        Some(tool) => tool.served.ended(version, ended, elapsed.as_secs_f64()),
        None => Operations::calls("").ended(version, ended, elapsed.as_secs_f64()),
    }
}
