//! What a call's log lines and spans are about: its trace, and while traces are on the spans of its way through here.
//!
//! A server span from its arrival to its end, and below it one of each step: `route`, `queue` if it waits, and a client
//! span for each slave that gets it, whose context goes into the call's header. Knows neither links nor slaves.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use front::calls::CallContext;
use front::metrics::Ended;
use front::spans;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::mcp::envelope::{self, Message};
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use runtime::traces::{self, Kind, Span, TraceContext};

/// Bytes that a context may add to a call's header.
const ROOM: usize = 1024;

/// The trace that a call is part of. Clones are the same call's.
#[derive(Clone, Default)]
pub(crate) struct CallTrace {
    id: Option<u128>,
    /// Only while traces are on.
    steps: Option<Arc<Mutex<Steps>>>,
}

/// The spans that have not ended.
struct Steps {
    server: Option<Span>,
    /// `route` or `queue`.
    step: Option<Span>,
    /// The slave that has the call.
    forward: Option<Span>,
    /// What forwards are described by.
    header: CallHeader,
    tool: String,
    request_id: Option<String>,
}

impl CallTrace {
    /// A call arrived. While traces are on the header's trace context becomes that of its own span.
    pub(crate) fn of(call: CallId, header: &mut CallHeader, message: &[u8], asker: &CallContext<'_>) -> Self {
        if !traces::is_on() {
            return Self { id: header.traceparent.as_deref().and_then(trace_id), steps: None };
        }
        let (traceparent, tracestate) = (header.traceparent.take(), header.tracestate.take());
        let context = (traceparent.as_deref(), tracestate.as_deref());
        let server = spans::server(SystemTime::now(), header.method.clone(), context, asker.headers);
        let Some(mut server) = server else { return Self::default() };
        let request_id = describe(&mut server, (call, message), header, asker);
        let steps = Steps {
            step: server.child("route", Kind::Internal),
            forward: None,
            header: CallHeader { param_headers: std::collections::BTreeMap::new(), ..header.clone() },
            tool: String::new(),
            request_id,
            server: Some(server),
        };
        let id = steps.server.as_ref().map(Span::trace_id);
        Self { id, steps: Some(Arc::new(Mutex::new(steps))) }
    }

    /// What lines about the call are about while it has this id.
    pub(crate) fn subject(&self, call: CallId) -> LogContext {
        LogContext::new(call.0, self.id)
    }

    /// Bytes to be left free in the call's header.
    pub(crate) fn room(&self) -> usize {
        if self.steps.is_some() { ROOM } else { 0 }
    }

    /// The tool is one that is offered.
    pub(crate) fn of_tool(&self, tool: &str) {
        let Some(mut steps) = self.steps() else { return };
        tool.clone_into(&mut steps.tool);
        if let Some(server) = &mut steps.server {
            spans::of_tool(server, tool);
        }
    }

    /// The call waits for a slave with room.
    pub(crate) fn queued(&self) {
        let Some(mut steps) = self.steps() else { return };
        steps.step = None;
        steps.step = steps.server.as_ref().and_then(|server| server.child("queue", Kind::Internal));
    }

    /// A slave is about to get the call; its header with the context for it, where that is not in it already.
    pub(crate) fn forwarding(&self, call: CallId, header: &Bytes, slave: &str) -> Option<Bytes> {
        let mut steps = self.steps()?;
        steps.step = None;
        let mut span = steps.server.as_ref()?.child("tools/call", Kind::Client)?;
        spans::about(&mut span, &steps.header, ("tcp", "websocket"));
        spans::of_tool(&mut span, &steps.tool);
        if let Some(id) = &steps.request_id {
            spans::request_id(&mut span, id);
        }
        span.set("mcp_relay.request_id", call.to_string());
        span.set("mcp_relay.slave", slave.to_owned());
        let header = with_context(header, &span.carried());
        steps.forward = Some(span);
        Some(header)
    }

    /// The slave that should have got the call did not, or gave no answer that counts.
    pub(crate) fn forward_failed(&self, why: Ended) {
        let Some(mut steps) = self.steps() else { return };
        if let Some(mut forward) = steps.forward.take() {
            spans::ended(&mut forward, why);
        }
    }

    /// The call ended; `outcome` is the metric's word for it.
    pub(crate) fn ended(&self, outcome: &'static str, ended: Ended) {
        let Some(mut steps) = self.steps() else { return };
        steps.step = None;
        for mut span in [steps.forward.take(), steps.server.take()].into_iter().flatten() {
            span.set("mcp_relay.outcome", outcome);
            spans::ended(&mut span, ended);
        }
    }

    fn steps(&self) -> Option<MutexGuard<'_, Steps>> {
        self.steps.as_ref().map(|steps| steps.lock())
    }
}

/// What is known of a call when it arrives; its JSON-RPC id, raw.
fn describe(
    server: &mut Span,
    (call, message): (CallId, &[u8]),
    header: &CallHeader,
    asker: &CallContext<'_>,
) -> Option<String> {
    if !server.is_recording() {
        return None;
    }
    spans::about(server, header, ("tcp", "http"));
    server.set("mcp_relay.request_id", call.to_string());
    if let Some(peer) = asker.peer {
        server.set("client.address", peer.to_string());
    }
    let Ok(Message::Request { id, .. }) = envelope::parse(message) else { return None };
    spans::request_id(server, id.get());
    Some(id.get().to_owned())
}

/// A header's JSON with a trace context, which it did not have.
fn with_context(header: &Bytes, carried: &TraceContext) -> Bytes {
    let Some(open) = header.strip_suffix(b"}") else { return header.clone() };
    let mut out = Vec::with_capacity(header.len() + ROOM);
    out.extend_from_slice(open);
    // Hex digits and hyphens need no escapes.
    out.extend_from_slice(format!(r#","traceparent":"{}""#, carried.traceparent).as_bytes());
    if let Some(state) = carried.tracestate.as_ref().and_then(|state| serde_json::to_string(state).ok()) {
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
    fn the_id_in_the_field_is_the_one_in_the_phrases() {
        let call = CallId::new(InstanceId(0xabc), 0x12);
        let subject = CallTrace::default().subject(call);
        assert_eq!(subject.to_string(), format!("request_id={call}"));
    }

    #[test]
    fn a_context_is_added_to_a_header_as_it_stands() {
        let carried = TraceContext { traceparent: "00-1-2-01".into(), tracestate: Some(r#"a="b""#.into()) };
        let header = with_context(&Bytes::from_static(br#"{"method":"x"}"#), &carried);
        assert_eq!(&header[..], br#"{"method":"x","traceparent":"00-1-2-01","tracestate":"a=\"b\""}"#);
    }
}
