//! Names and attributes of MCP spans, as OpenTelemetry's conventions have them. Arguments and results are not recorded.
//!
//! Semantic conventions for generative AI, "Model Context Protocol" (development). The text of an error is left out, as
//! it may repeat arguments: the span's status has `error.type` in its place. Must not know when spans begin and end.

use std::time::SystemTime;

use protocol::link::header::CallHeader;
use protocol::mcp::era::Version;
use protocol::mcp::method::Method;
use runtime::traces::{Kind, Parent, Span};

use crate::calls::HeaderMap;
use crate::outcome::CallOutcome;

/// Bytes of a JSON-RPC id that becomes an attribute; a longer one is left out.
const MAX_REQUEST_ID: usize = 128;

/// Attributes that every message has.
#[derive(Clone, Copy, Debug)]
pub struct SpanAttributes<'a> {
    /// `mcp.method.name`.
    pub method: &'a str,
    /// `mcp.protocol.version`, if known.
    pub version: Option<Version>,
    /// `mcp.session.id`: the session's public key, if the message belongs to a session.
    pub session: Option<&'a str>,
}

impl<'a> From<&'a CallHeader> for SpanAttributes<'a> {
    fn from(header: &'a CallHeader) -> Self {
        Self {
            method: Method::label(&header.method),
            version: Some(header.version),
            session: header.session.as_deref(),
        }
    }
}

/// Trace context as two header values.
#[derive(Clone, Copy, Debug)]
pub struct RemoteContext<'a> {
    /// `traceparent`.
    pub traceparent: Option<&'a str>,
    /// `tracestate`.
    pub tracestate: Option<&'a str>,
}

/// Starts the server span of a client's message that arrived at `time`; `None` while traces are off.
///
/// `context` is the message's own and becomes the parent. Another context in the HTTP `headers` becomes a link.
pub fn server_span(
    time: SystemTime,
    method: String,
    context: RemoteContext<'_>,
    headers: &HeaderMap,
) -> Option<Span> {
    let parent = Parent::remote(context.traceparent, context.tracestate);
    let mut span = Span::start_at(time, method, Kind::Server, &parent)?;
    let of_request = headers.get("traceparent").and_then(|value| value.to_str().ok());
    if of_request.is_some() && of_request != context.traceparent {
        span.add_link(&Parent::remote(of_request, None));
    }
    Some(span)
}

/// Sets the attributes of a message. `protocol` is `network.protocol.name`; empty: not set.
pub fn set_message<'a>(
    span: &mut Span,
    message: impl Into<SpanAttributes<'a>>,
    transport: &'static str,
    protocol: &'static str,
) {
    if !span.is_recording() {
        return;
    }
    let SpanAttributes { method, version, session } = message.into();
    span.set("mcp.method.name", method.to_owned());
    if let Some(version) = version {
        span.set("mcp.protocol.version", version.as_str());
    }
    span.set("network.transport", transport);
    if !protocol.is_empty() {
        span.set("network.protocol.name", protocol);
    }
    if let Some(session) = session {
        span.set("mcp.session.id", session.to_owned());
    }
}

/// Makes the span that of a tool call. `tool` must be a name of the catalog: other names are unbounded.
pub fn set_tool(span: &mut Span, tool: &str) {
    if !span.is_recording() {
        return;
    }
    span.rename(format!("tools/call {tool}"));
    span.set("gen_ai.operation.name", "execute_tool");
    span.set("gen_ai.tool.name", tool.to_owned());
}

/// Sets the id of the JSON-RPC request, given as raw JSON.
pub fn set_request_id(span: &mut Span, json: &str) {
    let text = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
    if text.len() <= MAX_REQUEST_ID {
        span.set("jsonrpc.request.id", text.to_owned());
    }
}

/// Sets how the operation ended. Every outcome but success sets `error.type`.
pub fn set_outcome(span: &mut Span, outcome: CallOutcome) {
    let (error, code) = outcome.labels();
    if !code.is_empty() {
        span.set("rpc.response.status_code", code);
    }
    if !error.is_empty() {
        span.fail(error);
    }
}
