//! OpenTelemetry's conventions for MCP as spans: names and attributes. Of a call's arguments and result nothing is said.
//!
//! Semantic conventions for generative AI, "Model Context Protocol" (development). An error's text is left out, as it
//! may repeat arguments: the status has `error.type` in its place.

use std::time::SystemTime;

use protocol::link::header::CallHeader;
use protocol::mcp::era::Version;
use runtime::traces::{Kind, Parent, Span};

use crate::calls::HeaderMap;
use crate::metrics::Ended;

/// Longest request id that is said, in bytes.
const ID: usize = 128;

/// What is said of every message.
#[derive(Clone, Copy, Debug)]
pub struct SpanAttributes<'a> {
    /// Its method.
    pub method: &'a str,
    /// The version that is spoken, where it is known.
    pub version: Option<Version>,
    /// The key of the session that it belongs to.
    pub session: Option<&'a str>,
}

impl<'a> From<&'a CallHeader> for SpanAttributes<'a> {
    fn from(header: &'a CallHeader) -> Self {
        Self { method: &header.method, version: Some(header.version), session: header.session.as_deref() }
    }
}

/// The span of a client's message that arrived at `time`; `None` where traces are off. `context` is the message's own
/// `traceparent` and `tracestate`, its parent. That of the HTTP request around it, if it is another, is linked.
pub fn server(
    time: SystemTime,
    method: String,
    context: (Option<&str>, Option<&str>),
    headers: &HeaderMap,
) -> Option<Span> {
    let mut span = Span::begun_at(time, method, Kind::Server, &Parent::remote(context.0, context.1))?;
    let beside = headers.get("traceparent").and_then(|value| value.to_str().ok());
    if beside.is_some() && beside != context.0 {
        span.link(&Parent::remote(beside, None));
    }
    Some(span)
}

/// A message's span: what is known of it before its tool. `way`: `network.transport` and `network.protocol.name`.
pub fn about<'a>(span: &mut Span, message: impl Into<SpanAttributes<'a>>, way: (&'static str, &'static str)) {
    if !span.is_recording() {
        return;
    }
    let SpanAttributes { method, version, session } = message.into();
    span.set("mcp.method.name", method.to_owned());
    if let Some(version) = version {
        span.set("mcp.protocol.version", version.as_str());
    }
    span.set("network.transport", way.0);
    if !way.1.is_empty() {
        span.set("network.protocol.name", way.1);
    }
    if let Some(session) = session {
        span.set("mcp.session.id", session.to_owned());
    }
}

/// The span of a call of this tool, which is one of the catalog: a client's word would be endless.
pub fn of_tool(span: &mut Span, tool: &str) {
    if !span.is_recording() {
        return;
    }
    span.rename(format!("tools/call {tool}"));
    span.set("gen_ai.operation.name", "execute_tool");
    span.set("gen_ai.tool.name", tool.to_owned());
}

/// The id of the JSON-RPC request, as it stands in JSON.
pub fn request_id(span: &mut Span, json: &str) {
    let text = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
    if text.len() <= ID {
        span.set("jsonrpc.request.id", text.to_owned());
    }
}

/// How it ended. A call that failed in any way has `error.type`.
pub fn ended(span: &mut Span, ended: Ended) {
    let (error, code) = ended.labels();
    if !code.is_empty() {
        span.set("rpc.response.status_code", code);
    }
    if !error.is_empty() {
        span.fail(error);
    }
}
