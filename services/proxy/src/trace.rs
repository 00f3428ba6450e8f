//! Trace of one call through the proxy: its trace id in log lines and, while traces are on, its spans.
//!
//! A server span lasts from the call's arrival to its end. Its children are `route`, `queue` if the call waits, and a
//! client span for each slave that gets the call; the context of the client span goes into the call's header. Must not
//! know links or slaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use front::CallOutcome;
use front::calls::CallContext;
use front::trace::semconv::{self, RemoteContext};
use parking_lot::{Mutex, MutexGuard};
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::mcp::envelope::{self, Message};
use protocol::mcp::method::Method;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use runtime::traces::{self, Kind, Span, TraceContext};

/// Bytes that a trace context may add to a call's header.
const MAX_CONTEXT_BYTES: usize = 1024;

/// The trace of a call. Clones belong to the same call.
#[derive(Clone, Default)]
pub(crate) struct CallTrace {
    id: Option<u128>,
    /// The spans; `None` while traces are off.
    spans: Option<Arc<Mutex<CallSpans>>>,
}

/// The unfinished spans of a call, and the attributes of later spans.
struct CallSpans {
    server: Option<Span>,
    /// The span of the present step, `route` or `queue`.
    step: Option<Span>,
    /// The client span of the slave that has the call.
    forward: Option<Span>,
    header: CallHeader,
    tool: String,
    request_id: Option<String>,
}

impl CallTrace {
    /// Starts the trace of a call that arrived. While traces are on, the context is removed from `header`, because the
    /// proxy's own span is the parent of all later spans.
    pub(crate) fn start(
        call: CallId,
        header: &mut CallHeader,
        message: &[u8],
        context: &CallContext<'_>,
    ) -> Self {
        if !traces::is_on() {
            return Self { id: header.traceparent.as_deref().and_then(trace_id), spans: None };
        }
        let (traceparent, tracestate) = (header.traceparent.take(), header.tracestate.take());
        let parent = RemoteContext { traceparent: traceparent.as_deref(), tracestate: tracestate.as_deref() };
        let server = semconv::server_span(
            SystemTime::now(),
            Method::label(&header.method).to_owned(),
            parent,
            context.headers,
        );
        let Some(mut server) = server else { return Self::default() };
        let request_id = describe(&mut server, call, message, header, context);
        let id = server.trace_id();
        let spans = CallSpans {
            step: server.start_child("route", Kind::Internal),
            forward: None,
            header: CallHeader { param_headers: BTreeMap::new(), ..header.clone() },
            tool: String::new(),
            request_id,
            server: Some(server),
        };
        Self { id: Some(id), spans: Some(Arc::new(Mutex::new(spans))) }
    }

    /// Returns the context of log lines about the call while it has this id.
    pub(crate) fn log_context(&self, call: CallId) -> LogContext {
        LogContext::new(call.0, self.id)
    }

    /// Returns how many bytes must stay free in the call's header for [`Self::start_forward`].
    pub(crate) fn header_bytes(&self) -> usize {
        if self.spans.is_some() { MAX_CONTEXT_BYTES } else { 0 }
    }

    /// Sets the name of the called tool, which must be one that is offered.
    pub(crate) fn set_tool(&self, tool: &str) {
        let Some(mut spans) = self.lock() else { return };
        tool.clone_into(&mut spans.tool);
        if let Some(server) = &mut spans.server {
            semconv::set_tool(server, tool);
        }
    }

    /// Starts the `queue` span, because the call waits for a slave.
    pub(crate) fn on_queue(&self) {
        let Some(mut spans) = self.lock() else { return };
        spans.step = None;
        spans.step = spans.server.as_ref().and_then(|server| server.start_child("queue", Kind::Internal));
    }

    /// Starts the client span of a slave that is about to get the call. Returns the call's header with the span's
    /// context added; `None` while traces are off.
    pub(crate) fn start_forward(&self, call: CallId, header: &Bytes, slave: &str) -> Option<Bytes> {
        let mut spans = self.lock()?;
        spans.step = None;
        let mut span =
            spans.server.as_ref()?.start_child(Method::label(&spans.header.method), Kind::Client)?;
        semconv::set_message(&mut span, &spans.header, "tcp", "websocket");
        semconv::set_tool(&mut span, &spans.tool);
        if let Some(id) = &spans.request_id {
            semconv::set_request_id(&mut span, id);
        }
        span.set("mcp_relay.request_id", call.to_string());
        span.set("mcp_relay.slave", slave.to_owned());
        let header = add_context(header, &span.context());
        spans.forward = Some(span);
        Some(header)
    }

    /// Ends the client span of a slave that never got the call, or whose answer is discarded.
    pub(crate) fn forward_failed(&self, outcome: CallOutcome) {
        let Some(mut spans) = self.lock() else { return };
        if let Some(mut forward) = spans.forward.take() {
            semconv::set_outcome(&mut forward, outcome);
        }
    }

    /// Ends all spans of the call. `label` is the outcome as metrics name it.
    pub(crate) fn finish(&self, label: &'static str, outcome: CallOutcome) {
        let Some(mut spans) = self.lock() else { return };
        spans.step = None;
        for mut span in [spans.forward.take(), spans.server.take()].into_iter().flatten() {
            span.set("mcp_relay.outcome", label);
            semconv::set_outcome(&mut span, outcome);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, CallSpans>> {
        self.spans.as_ref().map(|spans| spans.lock())
    }
}

/// Sets the attributes of a call that arrived. Returns its JSON-RPC id as raw JSON.
fn describe(
    server: &mut Span,
    call: CallId,
    message: &[u8],
    header: &CallHeader,
    context: &CallContext<'_>,
) -> Option<String> {
    if !server.is_recording() {
        return None;
    }
    semconv::set_message(server, header, "tcp", "http");
    server.set("mcp_relay.request_id", call.to_string());
    if let Some(peer) = context.peer {
        server.set("client.address", peer.to_string());
    }
    let Ok(Message::Request { id, .. }) = envelope::parse(message) else { return None };
    semconv::set_request_id(server, id.get());
    Some(id.get().to_owned())
}

/// Adds a trace context to a header's JSON, which must not have one.
fn add_context(header: &Bytes, context: &TraceContext) -> Bytes {
    let Some(open) = header.strip_suffix(b"}") else { return header.clone() };
    let mut out = Vec::with_capacity(header.len() + MAX_CONTEXT_BYTES);
    out.extend_from_slice(open);
    // Hex digits and hyphens need no escapes.
    out.extend_from_slice(format!(r#","traceparent":"{}""#, context.traceparent).as_bytes());
    if let Some(state) = context.tracestate.as_ref().and_then(|state| serde_json::to_string(state).ok()) {
        out.extend_from_slice(b",\"tracestate\":");
        out.extend_from_slice(state.as_bytes());
    }
    out.push(b'}');
    out.into()
}

#[cfg(test)]
mod tests {
    use protocol::link::ids::InstanceId;

    use super::*;

    #[test]
    fn log_lines_and_messages_have_the_same_call_id() {
        let call = CallId::new(InstanceId(0xabc), 0x12);
        let context = CallTrace::default().log_context(call);
        assert_eq!(context.to_string(), format!("request_id={call}"));
    }

    #[test]
    fn a_context_is_added_to_a_header_without_parsing_it() {
        let context = TraceContext { traceparent: "00-1-2-01".into(), tracestate: Some(r#"a="b""#.into()) };
        let header = add_context(&Bytes::from_static(br#"{"method":"x"}"#), &context);
        assert_eq!(&header[..], br#"{"method":"x","traceparent":"00-1-2-01","tracestate":"a=\"b\""}"#);
    }
}
