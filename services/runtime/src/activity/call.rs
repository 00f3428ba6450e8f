//! A call under way: its labels and what is known of it now. Must not know who watches it.

use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::labels::Labels;
use crate::audit::Payload;

/// Whether a worker, a slave or a backend, has the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPhase {
    /// The call waits for a worker.
    Waiting,
    /// A worker has the call.
    Running,
}

/// The progress that a call has reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallProgress {
    /// Work that is done, in units of the tool.
    pub done: f64,
    /// All work, if known.
    pub total: Option<f64>,
}

/// A call under way.
pub(super) struct ActiveCall {
    pub(super) labels: Labels,
    pub(super) started: Instant,
    pub(super) state: Mutex<Snapshot>,
}

/// Current state of a call.
pub(super) struct Snapshot {
    /// The id of the labels, or a later one.
    pub(super) id: String,
    pub(super) phase: CallPhase,
    pub(super) worker: String,
    /// The number that tells the worker from others of its name.
    pub(super) worker_number: Option<u64>,
    /// What is proven of the worker and of the tool there, for the audit stream.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) progress: Option<CallProgress>,
    pub(super) ended: bool,
    pub(super) arguments: Option<Payload>,
    pub(super) response: Option<Response>,
}

/// Adds a call's worker, and its id where it has a number, to the JSON of a call. `member` is the name of the first.
pub(super) fn insert_worker(object: &mut Map<String, Value>, member: &str, name: &str, number: Option<u64>) {
    object.insert(member.into(), name.into());
    if let Some(number) = number.filter(|_| !name.is_empty()) {
        object.insert(format!("{member}Id"), format!("{number:016x}").into());
    }
}

/// The response to a call, for the audit stream.
pub(super) struct Response {
    /// The member of the audit line, `result` or `error`.
    pub(super) member: &'static str,
    pub(super) bytes: usize,
    /// Set if the response came in one piece.
    pub(super) payload: Option<Payload>,
}

impl ActiveCall {
    pub(super) fn new(labels: Labels) -> Self {
        let state = Snapshot {
            id: labels.id.clone(),
            phase: CallPhase::Waiting,
            worker: String::new(),
            worker_number: None,
            facts: Vec::new(),
            progress: None,
            ended: false,
            arguments: None,
            response: None,
        };
        Self { labels, started: Instant::now(), state: Mutex::new(state) }
    }

    /// `worker` is the member that names the call's worker.
    pub(super) fn to_json(&self, worker: &str, now: Instant) -> Value {
        let state = self.state.lock();
        let mut object = self.labels.to_json(&state.id);
        let phase = match state.phase {
            CallPhase::Waiting => "waiting",
            CallPhase::Running => "running",
        };
        let progress =
            state.progress.map(|CallProgress { done, total }| json!({ "done": done, "total": total }));
        let age = now.saturating_duration_since(self.started).as_millis();
        insert_worker(&mut object, worker, &state.worker, state.worker_number);
        object.insert("state".into(), phase.into());
        object.insert("ageMs".into(), u64::try_from(age).unwrap_or(u64::MAX).into());
        object.insert("progress".into(), progress.into());
        Value::Object(object)
    }
}
