//! The handling of events that follow from received frames: calls are started and stopped. Runs without the
//! lock of the journals. Must not know sockets.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::frame::Flags;
use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::{CallId, LinkId};
use protocol::link::session_fact::SessionFact;
use protocol::link::slave_end::SlaveEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::json_text;
use protocol::mcp::trace_context::trace_id;
use runtime::telemetry::LogContext;
use runtime::{call_line, call_lines};

use super::run_together::run_together;
use super::sink::JournalSink;
use super::state::Endpoint;
use super::state_labels::unlabelled;
use crate::call::{BegunCall, CallEnd};

impl Endpoint {
    /// Handles all events; `events` is empty afterwards.
    pub(super) fn handle(self: &Arc<Self>, events: &mut Vec<SlaveEvent>) {
        let mut runs = Vec::new();
        for event in events.drain(..) {
            match event {
                SlaveEvent::Start { call, header, message } => {
                    runs.extend(self.start(call, &header, message));
                }
                SlaveEvent::Stop { call } => self.calls.lock().cancel(call),
                SlaveEvent::Released { call, may_return } => self.retention.release(call, may_return),
                SlaveEvent::GaveUp { call } => tracing::warn!(
                    "Call given up: its client stopped reading, and others need the journal (SLAVE_JOURNAL_BYTES) (id: {call})"
                ),
                SlaveEvent::Writable { call } => {
                    if let Some(space) = self.space(call) {
                        space.notify_one();
                    }
                }
                SlaveEvent::Session(link, facts) => self.on_session_facts(link, &facts),
                SlaveEvent::Peers(link, peers) => self.on_peers(link, &peers),
                SlaveEvent::ProxyDraining(link) => self.on_proxy_draining(link),
            }
        }
        // No lock is held here: spawning may wake a thread, which takes time.
        run_together(runs);
    }

    /// Begins a call, and returns what runs it to its end.
    fn start(
        self: &Arc<Self>,
        call: CallId,
        header: &[u8],
        message: Bytes,
    ) -> Option<BoxFuture<'static, ()>> {
        let mut header: CallHeader = match json_text::read(header) {
            Ok(header) => header,
            Err(error) => {
                let _entered = LogContext::new(call.0, None).enter();
                tracing::warn!("The proxy sent a call header that cannot be read: {error}");
                let failure =
                    Failure::InvalidRequest(format!("the proxy's call header cannot be read: {error}"));
                self.write(|end| end.end(call, failure.error_object(Era::Legacy).into(), Flags::ERROR, 0));
                return None;
            }
        };
        let unlabelled = match header.purpose {
            // The label is in front of the id: whoever reads that takes it off.
            Purpose::Reply | Purpose::Resume { .. } => Ok(message),
            _ => unlabelled(&mut header, message),
        };
        let message = match unlabelled {
            Ok(message) => message,
            Err(failure) => {
                let end = CallEnd::failed(&failure, header.era);
                self.write(|to| to.end(call, end.payload, Flags::ERROR, end.status));
                return None;
            }
        };
        let now = Instant::now();
        let lines = call_lines::begin(now);
        let context =
            LogContext::new(call.0, header.traceparent.as_deref().and_then(trace_id)).with_lines(lines);
        let _entered = context.enter();
        let tool = header.name.as_deref().unwrap_or_default();
        call_line!(lines, tool, "Received request from proxy: {} (id: {call})", header.method);
        let client = header.client.as_deref().and_then(client_digest);
        let retained = self.retention.begin(call, &header);
        let is_known = {
            let mut state = self.state.lock();
            state.end.set_client(call, client);
            retained.is_none() || state.end.set_retained(call)
        };
        if !is_known {
            // Cancelled before it began.
            self.retention.release(call, true);
        }
        let sink = Box::new(JournalSink::new(Arc::clone(self), call, context, retained));
        self.calls.lock().add(call, header.cancel_id.clone(), now);
        let BegunCall { handle, run } = match header.purpose {
            Purpose::Resume { .. } => BegunCall { handle: self.retention.resume(&header, sink), run: None },
            _ => self.executor.execute(header, message, sink),
        };
        self.calls.lock().set_handle(call, handle);
        run
    }

    fn on_session_facts(&self, from: LinkId, json: &Bytes) {
        match SessionFact::decode(json) {
            Some(SessionFact::Cancelled { digests, reason }) => {
                self.calls.lock().cancel_request(&digests, reason.as_deref());
            }
            Some(SessionFact::LogLevel { session, level }) => self.executor.set_log_level(&session, level),
            Some(SessionFact::Unsubscribed { session, uri }) => self.executor.unsubscribe(&session, &uri),
            Some(SessionFact::Notified { session, message }) => {
                self.executor.notify(&session, message.into());
            }
            Some(SessionFact::Ended(end)) => {
                tracing::debug!("A client ended its session");
                self.executor.end_session(&end.session);
                self.forward_session_end(from, json);
            }
            Some(SessionFact::Revoked(facts)) => self.on_revocations(from, &facts),
            Some(SessionFact::Rotated(facts)) => self.on_rotations(from, &facts),
            None => tracing::warn!("The proxy sent a session fact that cannot be read"),
        }
    }
}

/// Returns a number that stands for the client, of the hex digest that call headers have; `None` for a text that is none.
fn client_digest(text: &str) -> Option<u64> {
    u64::from_str_radix(text.get(..16)?, 16).ok()
}
