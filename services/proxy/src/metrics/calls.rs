//! Metrics of calls. Knows tools by name only.

use std::collections::HashMap;

use ::metrics::{Counter, Histogram, counter, gauge, histogram};
use front::CallOutcome;
use front::metrics::{OperationSide, ToolOperations};
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use runtime::metrics::{CallStats, Metrics};

use super::table::{
    CALLS_REFUSED, DENIED, FORWARD_DURATION, FORWARDS, MOVED, REPEATS, TOOL_CONFLICTS, TOOLS, TOOLS_REFUSED,
    TOOLS_RENAMED,
};
use super::{names, under_way};

/// Handles of one tool's calls, each looked up once.
pub(crate) struct CallMeter {
    ok: Counter,
    tool_error: Counter,
    duration: Histogram,
    operations: ToolOperations,
    method: &'static str,
    tool: String,
}

impl CallMeter {
    /// Handles for a tool that slaves with this code offer.
    pub(crate) fn of_tool(code: &str, tool: &str) -> Self {
        Self::new("tools/call", names::TOOLS.admit(code, tool))
    }

    /// Handles for all requests of one method: names of prompts and resources are as many as a slave likes.
    pub(crate) fn of_method(method: &'static str) -> Self {
        Self::new(method, String::new())
    }

    fn new(method: &'static str, tool: String) -> Self {
        let forwards = |outcome: &'static str| counter!(FORWARDS, "method" => method, "tool" => tool.clone(), "outcome" => outcome);
        Self {
            ok: forwards("ok"),
            tool_error: forwards("tool_error"),
            duration: histogram!(FORWARD_DURATION, "method" => method, "tool" => tool.clone()),
            operations: ToolOperations::new(OperationSide::SERVER, method, &tool),
            method,
            tool,
        }
    }

    /// Counts a call that begins.
    pub(crate) fn record_start() {
        under_way::begin();
    }

    /// Counts a call that ended after `seconds`. `outcome`: `ok`, `tool_error`, `error`, `cancelled`, `abandoned`, or
    /// the kind of a failure.
    pub(crate) fn record_end(
        &self,
        outcome: &'static str,
        result: CallOutcome,
        version: Version,
        seconds: f64,
    ) {
        match outcome {
            "ok" => self.ok.increment(1),
            "tool_error" => self.tool_error.increment(1),
            other => {
                counter!(FORWARDS, "method" => self.method, "tool" => self.tool.clone(), "outcome" => other)
                    .increment(1);
            }
        }
        self.duration.record(seconds);
        self.operations.record(version, result, seconds);
        under_way::end();
    }

    /// Counts a call that was refused before it began.
    pub(crate) fn record_refusal(&self, failure: &Failure, version: Version, seconds: f64) {
        let kind = failure.spec().kind;
        counter!(CALLS_REFUSED, "tool" => self.tool.clone(), "kind" => kind).increment(1);
        self.operations.record(version, CallOutcome::of_failure(failure, version.era()), seconds);
    }
}

/// Counts a request that named what no slave offers, or nothing. `method` is one of a bounded set.
pub(crate) fn record_unknown(method: &'static str, failure: &Failure, version: Version, seconds: f64) {
    counter!(CALLS_REFUSED, "tool" => "", "kind" => failure.spec().kind).increment(1);
    let operations = ToolOperations::new(OperationSide::SERVER, method, "");
    operations.record(version, CallOutcome::of_failure(failure, version.era()), seconds);
}

/// Counts a request that the policy refused: what the client was told, and the kind of what it asked for.
pub(crate) fn record_denial(decision: &'static str, kind: &'static str) {
    counter!(DENIED, "decision" => decision, "kind" => kind).increment(1);
}

/// Counts a call that went to another slave because the first one never got it.
pub(crate) fn record_move() {
    counter!(MOVED).increment(1);
}

/// Counts a call that is run again after a failure of this kind.
pub(crate) fn record_retry(reason: &'static str) {
    counter!(REPEATS, "reason" => reason).increment(1);
}

/// Returns what was counted of the calls of each tool, by the clients' name.
pub(crate) fn calls_of_tools(recorder: &Metrics) -> HashMap<String, CallStats> {
    recorder.calls_by_tool(FORWARDS, FORWARD_DURATION)
}

/// The number of tools by what became of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolCounts {
    /// Tools that clients are offered.
    pub(crate) offered: usize,
    /// Those of them that are shown under another name than their slaves'.
    pub(crate) renamed: usize,
    /// Names with different tools, or of which a tool is not shown.
    pub(crate) conflicts: usize,
    /// Slaves' tools that are not shown because of their names.
    pub(crate) refused: usize,
}

/// Sets the number of tools.
pub(crate) fn set_tools(counts: ToolCounts) {
    gauge!(TOOLS).set(counts.offered as f64);
    gauge!(TOOLS_RENAMED).set(counts.renamed as f64);
    gauge!(TOOL_CONFLICTS).set(counts.conflicts as f64);
    gauge!(TOOLS_REFUSED).set(counts.refused as f64);
}
