//! Spans of the messages that the edge answers by itself. Must not know HTTP messages.
//!
//! A span is made when its message is answered, and begins when it arrived: one that becomes a call has its span from
//! whoever takes calls. While traces are off, a message costs one look at a static.

use std::time::SystemTime;

use protocol::mcp::envelope::Meta;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use runtime::traces;

use crate::calls::CallContext;
use crate::method::{Caller, method_label};
use crate::metrics::Ended;
use crate::spans::{self, SpanAttributes};
use crate::trace::Trace;

/// A message that has arrived, and what was found out about it. Nothing while traces are off.
pub(crate) struct Arrived(Option<Seen>);

struct Seen {
    at: SystemTime,
    /// `network.protocol.name`.
    protocol: &'static str,
    version: Option<Version>,
    session: Option<String>,
}

impl Arrived {
    /// By this protocol (`network.protocol.name`).
    pub(crate) fn by(protocol: &'static str) -> Self {
        let seen = || Seen { at: SystemTime::now(), protocol, version: None, session: None };
        Self(traces::is_on().then(seen))
    }

    /// It is known who sent it.
    pub(crate) fn sent_by(&mut self, caller: &Caller) {
        if let Some(seen) = &mut self.0 {
            seen.version = Some(caller.version);
            seen.session.clone_from(&caller.session);
        }
    }

    /// It began a session of this version. `key` is asked only while traces are on.
    pub(crate) fn began(&mut self, version: Version, key: impl FnOnce() -> Option<String>) {
        if let Some(seen) = &mut self.0 {
            seen.version = Some(version);
            seen.session = key();
        }
    }

    /// It was answered without a call, or refused. `id` as it stands in JSON; notifications have none.
    pub(crate) fn answered(
        self,
        (method, id): (&str, Option<&str>),
        meta: Option<&Meta<'_>>,
        asker: CallContext<'_>,
        failure: Option<&Failure>,
    ) {
        let Some(seen) = self.0 else { return };
        // A client's word for a method would be endless.
        let method = method_label(method);
        let trace = Trace::of(meta, Trace::beside(asker.headers));
        let context = (trace.traceparent.as_deref(), trace.tracestate.as_deref());
        let Some(mut span) = spans::server(seen.at, method.to_owned(), context, asker.headers) else {
            return;
        };
        if !span.is_recording() {
            return;
        }
        let about = SpanAttributes { method, version: seen.version, session: seen.session.as_deref() };
        spans::about(&mut span, about, ("tcp", seen.protocol));
        if let Some(id) = id {
            spans::request_id(&mut span, id);
        }
        if let Some(peer) = asker.peer {
            span.set("client.address", peer.to_string());
        }
        let row = failure.map(Failure::spec);
        span.set("mcp_relay.outcome", row.map_or("ok", |row| row.kind));
        spans::ended(&mut span, row.map_or(Ended::Well, |row| Ended::Code(row.code.into())));
    }
}
