//! OpenTelemetry's conventions for MCP as Prometheus series: `mcp.server.operation.duration` and its client's twin.
//!
//! Semantic conventions for generative AI, "Model Context Protocol" (development): names, attributes and bounds are
//! theirs, with `_` for `.` as Prometheus wants it. An attribute that does not apply is an empty label, which is none.
//! Left out are those that would be endless (request and session ids, resources) and the peers' addresses.

use std::borrow::Cow;
use std::sync::OnceLock;

use metrics::{Histogram, histogram};
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Version;
use protocol::mcp::failure;
use runtime::metrics::{Buckets, Label};

/// The conventions' bounds.
pub const OPERATION_BUCKETS: Buckets = Buckets {
    bounds: &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    why: "Those that the conventions ask for, so that dashboards of other makers fit.",
};

/// The attributes that are exported.
pub const OPERATION_LABELS: &[Label] = &[
    Label::open("mcp_method_name"),
    Label::open("gen_ai_tool_name"),
    Label::of("gen_ai_operation_name", &["execute_tool"]),
    Label::open("error_type"),
    Label::open("rpc_response_status_code"),
    Label::of(
        "mcp_protocol_version",
        &["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
    ),
    Label::of("network_transport", &["tcp", "pipe"]),
];

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a result.
    Well,
    /// With a result that says `isError`.
    ToolError,
    /// With this JSON-RPC error.
    Code(i64),
    /// Without an answer: a word for it.
    Unanswered(&'static str),
}

impl Ended {
    /// By the last part of an answer.
    pub fn of(part: &ResponseEvent) -> Self {
        match part {
            ResponseEvent::End { error: true, payload, .. } => {
                failure::code_in(payload).map_or(Self::Unanswered("_OTHER"), Self::Code)
            }
            ResponseEvent::End { tool_error: true, .. } => Self::ToolError,
            ResponseEvent::End { .. } | ResponseEvent::Event { .. } => Self::Well,
            ResponseEvent::Failed(failure) => Self::Code(failure.spec().code.into()),
        }
    }

    /// `error.type` and `rpc.response.status_code`.
    pub(crate) fn labels(self) -> (Cow<'static, str>, Cow<'static, str>) {
        match self {
            Self::Well => ("".into(), "".into()),
            Self::ToolError => ("tool_error".into(), "".into()),
            Self::Code(code) => (number(code), number(code)),
            Self::Unanswered(word) => (word.into(), "".into()),
        }
    }
}

/// JSON-RPC's own codes and those of servers; a backend may make up any other, which are one.
fn number(code: i64) -> Cow<'static, str> {
    match code {
        -32_700 | -32_603..=-32_600 | -32_099..=-32_000 | -31_099..=-31_000 => code.to_string().into(),
        _ => "_OTHER".into(),
    }
}

/// One series, looked up. `target`: method and tool (empty: none); `way`: version, if it is known, and transport.
pub(super) fn of(
    name: &'static str,
    (method, tool): (&'static str, &str),
    (version, transport): (Option<Version>, &'static str),
    ended: Ended,
) -> Histogram {
    let (error, code) = ended.labels();
    let operation = if method == "tools/call" { "execute_tool" } else { "" };
    histogram!(
        name,
        "mcp_method_name" => method,
        "gen_ai_tool_name" => tool.to_owned(),
        "gen_ai_operation_name" => operation,
        "error_type" => error,
        "rpc_response_status_code" => code,
        "mcp_protocol_version" => version.map_or("", Version::as_str),
        "network_transport" => transport
    )
}

/// One operation that is no tool call ended; `name` is the series.
pub fn operation(
    (name, transport): (&'static str, &'static str),
    method: &'static str,
    ended: Ended,
    seconds: f64,
) {
    of(name, (method, ""), (None, transport), ended).record(seconds);
}

/// The operations of one method and, if it is `tools/call`, one tool. The series of those that end with a result are
/// looked up once: then one costs what a histogram costs.
pub struct Operations {
    name: &'static str,
    method: &'static str,
    tool: String,
    transport: &'static str,
    well: [OnceLock<Histogram>; Version::ALL.len()],
    tool_error: [OnceLock<Histogram>; Version::ALL.len()],
}

impl Operations {
    /// `name` is the series; `tool` comes from a bounded set.
    pub fn new(
        (name, transport): (&'static str, &'static str),
        (method, tool): (&'static str, &str),
    ) -> Self {
        let tool = tool.to_owned();
        Self { name, method, tool, transport, well: Default::default(), tool_error: Default::default() }
    }

    /// `tools/call` of this tool by clients.
    pub fn calls(tool: &str) -> Self {
        Self::new((super::SERVER_OPERATIONS, "tcp"), ("tools/call", tool))
    }

    /// One operation ended.
    pub fn ended(&self, version: Version, ended: Ended, seconds: f64) {
        let fresh = || of(self.name, (self.method, &self.tool), (Some(version), self.transport), ended);
        let known = match ended {
            Ended::Well => &self.well,
            Ended::ToolError => &self.tool_error,
            Ended::Code(_) | Ended::Unanswered(_) => return fresh().record(seconds),
        };
        match known.get(version as usize) {
            Some(known) => known.get_or_init(fresh).record(seconds),
            None => fresh().record(seconds),
        }
    }
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations")
            .field("method", &self.method)
            .field("tool", &self.tool)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_as_the_conventions_want_and_bounded() {
        assert_eq!(Ended::Well.labels(), ("".into(), "".into()));
        assert_eq!(Ended::ToolError.labels(), ("tool_error".into(), "".into()));
        assert_eq!(Ended::Code(-32602).labels(), ("-32602".into(), "-32602".into()));
        assert_eq!(Ended::Code(12_345).labels(), ("_OTHER".into(), "_OTHER".into()));
        assert_eq!(Ended::Unanswered("cancelled").labels().0, "cancelled");
    }

    #[test]
    fn every_version_has_a_place_and_is_declared() {
        let labels: Vec<&str> = Version::ALL.map(Version::as_str).to_vec();
        let declared = OPERATION_LABELS.iter().find(|label| label.name == "mcp_protocol_version").unwrap();
        assert_eq!(declared.values, labels);
        assert!(Version::ALL.iter().all(|version| (*version as usize) < Version::ALL.len()));
    }
}
