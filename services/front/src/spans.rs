//! OpenTelemetry's conventions for MCP as spans: names and attributes. Of a call's arguments and result nothing is said.
//!
//! Semantic conventions for generative AI, "Model Context Protocol" (development). An error's text is left out, as it
//! may repeat arguments: the status has `error.type` in its place.

use protocol::header::CallHeader;
use runtime::traces::Span;

use crate::metrics::Ended;

/// Longest request id that is said, in bytes.
const ID: usize = 128;

/// A call's span: what is known of it before its tool. `way`: `network.transport` and `network.protocol.name`.
pub fn about(span: &mut Span, header: &CallHeader, way: (&'static str, &'static str)) {
    if !span.is_recording() {
        return;
    }
    span.set("mcp.method.name", header.method.clone());
    span.set("mcp.protocol.version", header.version.as_str());
    span.set("network.transport", way.0);
    if !way.1.is_empty() {
        span.set("network.protocol.name", way.1);
    }
    if let Some(session) = &header.session {
        span.set("mcp.session.id", session.clone());
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
