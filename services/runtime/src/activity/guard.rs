//! The handle of a call that is recorded. Must not know what a call is.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::call::{ActiveCall, CallPhase, CallProgress, Response};
use super::history::EndedCall;
use super::labels::Labels;
use super::log::CallLog;
use crate::audit::{self, AuditLine, Payload};

/// A call that is recorded until this is dropped, or an empty guard.
#[derive(Default)]
pub struct CallGuard(Option<Recorded>);

pub(super) struct Recorded {
    /// The member that names the call's worker.
    pub(super) worker: &'static str,
    pub(super) call: Arc<ActiveCall>,
    /// The log that lists the call, and its key there.
    pub(super) log: Option<(Arc<CallLog>, u64)>,
}

impl CallGuard {
    pub(super) fn new(recorded: Recorded) -> Self {
        Self(Some(recorded))
    }

    /// Whether the call is recorded. Otherwise all methods do nothing.
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Replaces the call's id. `id` is called only if the call is recorded.
    pub fn set_id(&self, id: impl FnOnce() -> String) {
        let Some(Recorded { call, .. }) = &self.0 else { return };
        call.state.lock().id = id();
    }

    /// Sets the phase of the call and, if it runs, its worker.
    pub fn set_phase(&self, phase: CallPhase, worker: &str) {
        let Some(Recorded { call, .. }) = &self.0 else { return };
        let mut state = call.state.lock();
        state.phase = phase;
        if state.worker != worker {
            worker.clone_into(&mut state.worker);
        }
    }

    /// Sets the number that tells the worker from others of its name; it is shown in 16 hex digits.
    pub fn set_worker_number(&self, number: u64) {
        if let Some(Recorded { call, .. }) = &self.0 {
            call.state.lock().worker_number = Some(number);
        }
    }

    /// Sets what is proven of the worker and of the tool that it has, as members of the audit line. `facts` is called only if
    /// there is an audit stream, and if the worker is another one than before.
    pub fn set_worker_facts(&self, worker: &str, facts: impl FnOnce() -> Vec<(&'static str, String)>) {
        let Some(Recorded { call, .. }) = self.0.as_ref().filter(|_| audit::is_on()) else { return };
        let mut state = call.state.lock();
        if state.worker != worker || state.facts.is_empty() {
            state.facts = facts();
        }
    }

    /// Sets the progress of the call.
    pub fn set_progress(&self, progress: CallProgress) {
        if let Some(Recorded { call, .. }) = &self.0 {
            call.state.lock().progress = Some(progress);
        }
    }

    /// Keeps the arguments of the client's request, if the audit stream has payloads.
    pub fn record_request(&self, message: &Bytes) {
        let Some(Recorded { call, .. }) = self.with_payloads() else { return };
        call.state.lock().arguments = Some(Payload::arguments(message));
    }

    /// Keeps a piece of the response, if the audit stream has payloads. `member` is `result` or `error`. Of a response in
    /// several pieces only the size is kept.
    pub fn record_response(&self, member: &'static str, piece: &Bytes) {
        let Some(Recorded { call, .. }) = self.with_payloads() else { return };
        let mut state = call.state.lock();
        let before = state.response.as_ref().map_or(0, |response| response.bytes);
        let payload = (before == 0).then(|| Payload::all(piece));
        state.response = Some(Response { member, bytes: before + piece.len(), payload });
    }

    fn with_payloads(&self) -> Option<&Recorded> {
        self.0.as_ref().filter(|_| audit::with_payloads())
    }

    /// Records the end of the call. Only the first end counts.
    pub fn finish(&self, outcome: &'static str) {
        let Some(Recorded { worker: worker_member, call, log }) = &self.0 else { return };
        let mut state = call.state.lock();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let (id, worker) = (state.id.clone(), std::mem::take(&mut state.worker));
        let worker_number = if worker.is_empty() { None } else { state.worker_number };
        let facts = std::mem::take(&mut state.facts);
        let (arguments, response) = (state.arguments.take(), state.response.take());
        drop(state);
        let now = Instant::now();
        let duration = now.saturating_duration_since(call.started);
        let ended = EndedCall {
            labels: Labels { id, ..call.labels.clone() },
            worker,
            worker_number,
            outcome,
            duration,
        };
        if audit::is_on() {
            let line = audit_line(&ended, worker_member);
            let line = facts.into_iter().fold(line, |line, (name, value)| line.with(name, value));
            audit::write_line(with_payloads(line, arguments, response));
        }
        if let Some((log, key)) = log {
            log.finish(*key, ended, now);
        }
    }
}

fn audit_line(call: &EndedCall, worker_member: &'static str) -> AuditLine {
    let Labels { id, tool, client, key_id, issuer, subject, peer, trace } = &call.labels;
    AuditLine::new("call")
        .with("request_id", id.as_str())
        .with("trace_id", trace.as_deref())
        .with("client", client.as_str())
        .with("client_key_id", key_id.as_deref())
        .with("client_issuer", issuer.as_deref())
        .with("client_subject", subject.as_deref())
        .with("peer", peer.map(|peer| peer.to_string()))
        .with("tool", tool.as_str())
        .with(worker_member, call.worker.as_str())
        .with("outcome", call.outcome)
        .with("duration_ms", (call.duration.as_secs_f64() * 1e6).round() / 1e3)
}

fn with_payloads(line: AuditLine, arguments: Option<Payload>, response: Option<Response>) -> AuditLine {
    let line = line.with_payload("arguments", arguments);
    let Some(Response { member, bytes, payload }) = response else { return line };
    line.with_payload(member, Some(payload.unwrap_or_else(|| Payload::size(bytes))))
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.finish("dropped");
    }
}

impl std::fmt::Debug for CallGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallGuard(recording: {})", self.is_recording())
    }
}
