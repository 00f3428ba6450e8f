//! Spans of messages that the edge answers itself. Must not know HTTP messages.
//!
//! The span is made when its message is answered, and starts at the time of its arrival: a message that becomes a call
//! gets its span from whoever takes calls. While traces are off, a message costs one load of a static.

use std::time::SystemTime;

use protocol::mcp::envelope::Meta;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use runtime::traces;

use super::context::Trace;
use super::semconv::{self, RemoteContext, SpanAttributes};
use crate::calls::CallContext;
use crate::method::{Caller, method_label};
use crate::outcome::CallOutcome;

/// The span of a message that was not answered yet. Empty while traces are off.
pub(crate) struct RequestSpan(Option<Arrival>);

/// A message that has arrived, as far as it is known.
struct Arrival {
    time: SystemTime,
    /// `network.protocol.name`.
    protocol: &'static str,
    version: Option<Version>,
    session: Option<String>,
}

impl RequestSpan {
    /// Notes the arrival of a message, now, by `protocol` (`network.protocol.name`).
    pub(crate) fn start(protocol: &'static str) -> Self {
        let arrival = || Arrival { time: SystemTime::now(), protocol, version: None, session: None };
        Self(traces::is_on().then(arrival))
    }

    /// Sets who sent the message.
    pub(crate) fn set_caller(&mut self, caller: &Caller) {
        if let Some(arrival) = &mut self.0 {
            arrival.version = Some(caller.version);
            arrival.session.clone_from(&caller.session);
        }
    }

    /// Sets the session that the message has begun. `key` is called only while traces are on.
    pub(crate) fn set_session(&mut self, version: Version, key: impl FnOnce() -> Option<String>) {
        if let Some(arrival) = &mut self.0 {
            arrival.version = Some(version);
            arrival.session = key();
        }
    }

    /// Records the span of a message that was answered without a call, or refused with `failure`. `id` is raw JSON;
    /// notifications have none.
    pub(crate) fn finish(
        self,
        method: &str,
        id: Option<&str>,
        meta: Option<&Meta<'_>>,
        context: CallContext<'_>,
        failure: Option<&Failure>,
    ) {
        let Some(arrival) = self.0 else { return };
        // A method's name comes from the client: unknown ones have one common label.
        let method = method_label(method);
        let trace = Trace::resolve(meta, Trace::from_headers(context.headers));
        let parent = RemoteContext {
            traceparent: trace.traceparent.as_deref(),
            tracestate: trace.tracestate.as_deref(),
        };
        let span = semconv::server_span(arrival.time, method.to_owned(), parent, context.headers);
        let Some(mut span) = span.filter(traces::Span::is_recording) else { return };
        let attributes =
            SpanAttributes { method, version: arrival.version, session: arrival.session.as_deref() };
        semconv::set_message(&mut span, attributes, "tcp", arrival.protocol);
        if let Some(id) = id {
            semconv::set_request_id(&mut span, id);
        }
        if let Some(peer) = context.peer {
            span.set("client.address", peer.to_string());
        }
        span.set("mcp_relay.outcome", failure.map_or("ok", |failure| failure.spec().kind));
        // A message whose version was not understood is refused as a legacy client's.
        let era = arrival.version.map_or(Era::Legacy, Version::era);
        let outcome = failure.map_or(CallOutcome::Success, |failure| CallOutcome::of_failure(failure, era));
        semconv::set_outcome(&mut span, outcome);
    }
}
