//! Metrics of calls. Knows tools by name only.

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use front::metrics::{Ended, Operations};
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;

use super::TOOL_NAMES;
use super::table::{
    CALLS_REFUSED, FORWARD_DURATION, FORWARDS, IN_FLIGHT, MOVED, REPEATS, TOOL_CONFLICTS, TOOLS,
};

const METHOD: &str = "tools/call";

/// Handles of one tool's calls, looked up once.
pub(crate) struct CallMeter {
    ok: Counter,
    tool_error: Counter,
    duration: Histogram,
    in_flight: Gauge,
    operations: Operations,
    tool: String,
}

impl CallMeter {
    pub(crate) fn new(tool: &str) -> Self {
        let tool = TOOL_NAMES.bounded(tool);
        let of = |outcome: &'static str| counter!(FORWARDS, "method" => METHOD, "tool" => tool.clone(), "outcome" => outcome);
        Self {
            ok: of("ok"),
            tool_error: of("tool_error"),
            duration: histogram!(FORWARD_DURATION, "method" => METHOD, "tool" => tool.clone()),
            in_flight: gauge!(IN_FLIGHT),
            operations: Operations::calls(&tool),
            tool,
        }
    }

    /// A call begins.
    pub(crate) fn began(&self) {
        self.in_flight.increment(1);
    }

    /// A call ended: `ok`, `tool_error`, `error`, `cancelled`, `abandoned`, or the kind of a failure.
    pub(crate) fn ended(&self, (outcome, ended): (&'static str, Ended), version: Version, seconds: f64) {
        match outcome {
            "ok" => self.ok.increment(1),
            "tool_error" => self.tool_error.increment(1),
            other => {
                counter!(FORWARDS, "method" => METHOD, "tool" => self.tool.clone(), "outcome" => other)
                    .increment(1);
            }
        }
        self.duration.record(seconds);
        self.operations.ended(version, ended, seconds);
        self.in_flight.decrement(1);
    }

    /// A call was refused before it began.
    pub(crate) fn refused(&self, failure: &Failure, version: Version, seconds: f64) {
        let row = failure.spec();
        counter!(CALLS_REFUSED, "tool" => self.tool.clone(), "kind" => row.kind).increment(1);
        self.operations.ended(version, Ended::Code(row.code.into()), seconds);
    }
}

/// A call named a tool that nobody offers, or no tool.
pub(crate) fn not_offered(failure: &Failure, version: Version, seconds: f64) {
    let row = failure.spec();
    counter!(CALLS_REFUSED, "tool" => "", "kind" => row.kind).increment(1);
    Operations::calls("").ended(version, Ended::Code(row.code.into()), seconds);
}

/// A call went to another slave.
pub(crate) fn moved() {
    counter!(MOVED).increment(1);
}

/// A call is run again.
pub(crate) fn repeated(reason: &'static str) {
    counter!(REPEATS, "reason" => reason).increment(1);
}

/// What clients are offered.
pub(crate) fn tools(offered: usize, conflicts: usize) {
    gauge!(TOOLS).set(offered as f64);
    gauge!(TOOL_CONFLICTS).set(conflicts as f64);
}
