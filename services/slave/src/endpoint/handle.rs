//! What follows from the frames that links receive: calls are started, stopped and told things. No lock of the
//! journals is held here. Must not know sockets.

use std::sync::Arc;

use bytes::Bytes;
use protocol::link::frame::Flags;
use protocol::link::header::{CallHeader, SessionFacts};
use protocol::link::ids::{CallId, LinkId};
use protocol::link::slave_end::SlaveEvent;
use protocol::mcp::failure::Failure;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;

use super::running::Name;
use super::sink::JournalSink;
use super::{Endpoint, lock};

impl Endpoint {
    pub(super) fn handle(self: &Arc<Self>, events: &mut Vec<SlaveEvent>) {
        for event in events.drain(..) {
            match event {
                SlaveEvent::Start { call, header, message } => self.start(call, &header, message),
                SlaveEvent::Stop { call } => lock(&self.running).cancel(call),
                SlaveEvent::Writable { call } => {
                    if let Some(room) = self.room(call) {
                        room.notify_one();
                    }
                }
                SlaveEvent::Session(link, facts) => self.session(link, &facts),
                SlaveEvent::Peers(link, peers) => self.peers(link, &peers),
                SlaveEvent::ProxyDraining(link) => self.proxy_drains(link),
            }
        }
    }

    fn start(self: &Arc<Self>, call: CallId, header: &[u8], message: Bytes) {
        let header: CallHeader = match serde_json::from_slice(header) {
            Ok(header) => header,
            Err(error) => {
                let _entered = LogContext::new(call.0, None).enter();
                tracing::warn!("The proxy sent a call header that cannot be read: {error}");
                let failure =
                    Failure::InvalidRequest(format!("the proxy's call header cannot be read: {error}"));
                self.write(|end| end.end(call, failure.error_object().into(), Flags::ERROR, 0));
                return;
            }
        };
        let subject = LogContext::new(call.0, header.traceparent.as_deref().and_then(trace_id));
        let _entered = subject.enter();
        tracing::debug!(
            "Received request from proxy: {} (id: {})",
            header.method,
            header.request_id.as_deref().unwrap_or("-")
        );
        let sink = JournalSink::new(Arc::clone(self), call, subject);
        lock(&self.running).enter(call, Name::of(&header));
        // Spawning may wake a thread: nobody should wait for that.
        let handle = self.executor.run(header, message, Box::new(sink));
        lock(&self.running).spawned(call, handle);
    }

    fn session(&self, from: LinkId, json: &Bytes) {
        let facts: SessionFacts = match serde_json::from_slice(json) {
            Ok(facts) => facts,
            Err(error) => return tracing::warn!("The proxy sent session facts that cannot be read: {error}"),
        };
        if let Some(id) = &facts.cancel {
            lock(&self.running).cancel_named(&facts.session, id);
        }
        if facts.ended {
            // Soft facts of sessions (log level, subscriptions) come with later methods: nothing to drop yet.
            tracing::debug!("A client ended its session");
            self.pass_on(from, json);
        }
    }
}
