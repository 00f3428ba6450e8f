//! OpenTelemetry's metrics for MCP as Prometheus series: `mcp.server.operation.duration` and its counterpart of clients.
//!
//! Semantic conventions for generative AI, "Model Context Protocol" (development): names, attributes and bucket bounds
//! are theirs, with `_` for `.` as Prometheus wants it. An attribute that does not apply is an empty label, which
//! Prometheus treats as absent. Attributes of unbounded values (request and session ids, resources) and addresses of
//! peers are left out. Must not know what the operations are.

use std::sync::OnceLock;

use metrics::{Histogram, histogram};
use protocol::mcp::era::Version;
use runtime::metrics::{Buckets, Label};

use crate::outcome::CallOutcome;

/// `mcp.server.operation.duration`.
pub const SERVER_OPERATIONS: &str = "mcp_server_operation_duration_seconds";

/// The bucket bounds of the conventions.
pub const OPERATION_BUCKETS: Buckets = Buckets {
    bounds: &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    why: "The bounds that the conventions ask for, so that dashboards of other vendors fit.",
};

/// The version of MCP that a client speaks.
pub(super) const VERSION_LABEL: Label = Label::of(
    "mcp_protocol_version",
    &["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
);

/// The attributes that are exported.
pub const OPERATION_LABELS: &[Label] = &[
    Label::open("mcp_method_name"),
    Label::open("gen_ai_tool_name"),
    Label::of("gen_ai_operation_name", &["execute_tool"]),
    Label::open("error_type"),
    Label::open("rpc_response_status_code"),
    VERSION_LABEL,
    Label::of("network_transport", &["tcp", "pipe"]),
];

/// The end of an operation at which the process is: the series, and its `network_transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationSide {
    /// Name of the series.
    pub series: &'static str,
    /// `tcp` or `pipe`.
    pub transport: &'static str,
}

impl OperationSide {
    /// The server of clients that come over HTTP or a link.
    pub const SERVER: Self = Self { series: SERVER_OPERATIONS, transport: "tcp" };

    /// Records an operation that is no tool call. Its version is not a label.
    pub fn record(self, method: &'static str, outcome: CallOutcome, seconds: f64) {
        self.histogram(method, "", None, outcome).record(seconds);
    }

    /// Returns the histogram of one set of labels. An empty `tool` is none.
    pub(super) fn histogram(
        self,
        method: &'static str,
        tool: &str,
        version: Option<Version>,
        outcome: CallOutcome,
    ) -> Histogram {
        let (error, code) = outcome.labels();
        let operation = if method == "tools/call" { "execute_tool" } else { "" };
        histogram!(
            self.series,
            "mcp_method_name" => method,
            "gen_ai_tool_name" => tool.to_owned(),
            "gen_ai_operation_name" => operation,
            "error_type" => error,
            "rpc_response_status_code" => code,
            "mcp_protocol_version" => version.map_or("", Version::as_str),
            "network_transport" => self.transport
        )
    }
}

/// Histograms of the calls of one tool, or of all requests of one method. Those of calls that end with a result are looked up once.
pub struct ToolOperations {
    side: OperationSide,
    method: &'static str,
    tool: String,
    success: [OnceLock<Histogram>; Version::ALL.len()],
    tool_error: [OnceLock<Histogram>; Version::ALL.len()],
}

impl ToolOperations {
    /// Histograms of this tool's calls. `tool` must be of a bounded set; empty for calls of unknown tools and for methods other than
    /// `tools/call`.
    pub fn new(side: OperationSide, method: &'static str, tool: &str) -> Self {
        let tool = tool.to_owned();
        Self { side, method, tool, success: Default::default(), tool_error: Default::default() }
    }

    /// Records a call that took `seconds`.
    pub fn record(&self, version: Version, outcome: CallOutcome, seconds: f64) {
        let create = || self.side.histogram(self.method, &self.tool, Some(version), outcome);
        let cached = match outcome {
            CallOutcome::Success => &self.success,
            CallOutcome::ToolError => &self.tool_error,
            CallOutcome::Code(_) | CallOutcome::Unanswered(_) => return create().record(seconds),
        };
        match cached.get(version as usize) {
            Some(histogram) => histogram.get_or_init(create).record(seconds),
            None => create().record(seconds),
        }
    }
}

impl std::fmt::Debug for ToolOperations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolOperations").field("tool", &self.tool).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_histogram_and_is_declared_as_a_label_value() {
        let labels: Vec<&str> = Version::ALL.map(Version::as_str).to_vec();
        let declared = OPERATION_LABELS.iter().find(|label| label.name == "mcp_protocol_version").unwrap();
        assert_eq!(declared.values, labels);
        assert!(Version::ALL.iter().all(|version| (*version as usize) < Version::ALL.len()));
    }
}
