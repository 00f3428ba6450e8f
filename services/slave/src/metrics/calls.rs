//! Metrics of calls. Knows tools and backends by name only.

use std::collections::HashMap;
use std::time::Duration;

use front::CallOutcome;
use front::metrics::{OperationSide, ToolOperations};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use runtime::metrics::{BoundedValues, CallStats, Metrics};

use super::table::{BACKEND_CALLS, CALL_DURATION, CALLS, CLIENT_OPERATIONS, DENIED, IN_FLIGHT};
use crate::outcome::BackendOutcome;

/// Names of tools, which backends may change as often as they like.
static TOOL_NAMES: BoundedValues = BoundedValues::new();

/// Requests of the slave to backends.
const CLIENT: OperationSide = OperationSide { series: CLIENT_OPERATIONS, transport: "pipe" };

/// Returns what was counted of the calls of each tool.
pub(crate) fn calls_of_tools(recorder: &Metrics) -> HashMap<String, CallStats> {
    recorder.calls_by_tool(CALLS, CALL_DURATION)
}

/// Handles of one tool's calls, each looked up once: a call costs a few atomic operations.
pub(crate) struct ToolMeter {
    tool: String,
    backend: String,
    ok: Counter,
    tool_error: Counter,
    error: Counter,
    in_flight: Gauge,
    seconds: Histogram,
    of_backend: BackendCalls,
    client: ToolOperations,
    server: ToolOperations,
}

/// Counters of the calls of a backend.
struct BackendCalls {
    ok: Counter,
    tool_error: Counter,
    error: Counter,
    failed: Counter,
}

/// A call that runs. The gauge of running calls goes down when it is dropped.
pub(crate) struct InFlight<'a> {
    meter: &'a ToolMeter,
}

impl ToolMeter {
    /// Handles for a tool of the catalog. The recorder must be installed before.
    pub(crate) fn new(tool: &str, backend: &str) -> Self {
        Self::labelled("tools/call", TOOL_NAMES.admit(backend, tool), backend)
    }

    /// Handles for all requests of one method to a backend: names of prompts and resources are as many as it likes.
    pub(crate) fn of_method(method: &'static str, backend: &str) -> Self {
        Self::labelled(method, method.to_owned(), backend)
    }

    fn labelled(method: &'static str, tool: String, backend: &str) -> Self {
        let label = if method == "tools/call" { tool.as_str() } else { "" };
        let calls = |outcome: &'static str| counter!(CALLS, "tool" => tool.clone(), "outcome" => outcome);
        let of_backend = |outcome: &'static str| counter!(BACKEND_CALLS, "backend" => backend.to_owned(), "outcome" => outcome);
        Self {
            ok: calls("ok"),
            tool_error: calls("tool_error"),
            error: calls("error"),
            in_flight: gauge!(IN_FLIGHT, "tool" => tool.clone()),
            seconds: histogram!(CALL_DURATION, "tool" => tool.clone()),
            of_backend: BackendCalls {
                ok: of_backend("ok"),
                tool_error: of_backend("tool_error"),
                error: of_backend("error"),
                failed: of_backend("failed"),
            },
            client: ToolOperations::new(CLIENT, method, label),
            server: ToolOperations::new(OperationSide::SERVER, method, label),
            tool,
            backend: backend.to_owned(),
        }
    }

    /// Whether the tool is one of this backend.
    pub(crate) fn is_of(&self, backend: &str) -> bool {
        self.backend == backend
    }

    /// Counts a call that begins.
    pub(crate) fn record_start(&self) -> InFlight<'_> {
        self.in_flight.increment(1);
        InFlight { meter: self }
    }

    /// Records a request to a backend that speaks this version of MCP.
    pub(crate) fn record_backend_request(
        &self,
        version: Version,
        outcome: BackendOutcome,
        elapsed: Duration,
    ) {
        self.client.record(version, outcome.of_client(), elapsed.as_secs_f64());
    }
}

/// Records a request to a backend that is no tool call.
pub(crate) fn record_backend_request(method: &'static str, outcome: CallOutcome, elapsed: Duration) {
    CLIENT.record(method, outcome, elapsed.as_secs_f64());
}

impl InFlight<'_> {
    /// Records the end of the call.
    pub(crate) fn record_end(self, outcome: BackendOutcome, elapsed: Duration) {
        let meter = self.meter;
        meter.seconds.record(elapsed);
        let (of_tool, of_backend) = match outcome {
            BackendOutcome::Success => (&meter.ok, &meter.of_backend.ok),
            BackendOutcome::ToolError => (&meter.tool_error, &meter.of_backend.tool_error),
            BackendOutcome::Error(_) => (&meter.error, &meter.of_backend.error),
            BackendOutcome::Failed { kind, .. } => {
                (&counter!(CALLS, "tool" => meter.tool.clone(), "outcome" => kind), &meter.of_backend.failed)
            }
        };
        of_tool.increment(1);
        of_backend.increment(1);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meter.in_flight.decrement(1);
    }
}

/// Counts a call that the slave's policy refused: what the client was told, and the kind of what it asked for.
pub(crate) fn record_denial(decision: &'static str, kind: &'static str) {
    counter!(DENIED, "decision" => decision, "kind" => kind).increment(1);
}

/// Counts a call that was refused before its tool was found.
pub(crate) fn record_refusal(failure: &Failure) {
    counter!(CALLS, "tool" => "", "outcome" => failure.spec().kind).increment(1);
}

/// Records a call that came to the slave's own port. `tool` is `None` for a tool that is not in the catalog.
pub(crate) fn record_served(
    tool: Option<&ToolMeter>,
    version: Version,
    outcome: CallOutcome,
    elapsed: Duration,
) {
    let elapsed = elapsed.as_secs_f64();
    if let Some(tool) = tool {
        tool.server.record(version, outcome, elapsed);
    } else {
        ToolOperations::new(OperationSide::SERVER, "tools/call", "").record(version, outcome, elapsed);
    }
}
