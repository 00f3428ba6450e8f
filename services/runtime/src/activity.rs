//! The activity of a service: calls under way and those that ended lately, for people and for the audit stream. Must not
//! know what a call is nor what carries it: only names, and payloads only where the audit stream is to have them.
//!
//! While it is off, a call costs two comparisons. While it is on, memory is bounded by the calls under way, and a call
//! costs three short locks: two of a shard, and one of the history.

mod call;
mod guard;
mod history;
mod labels;
mod log;

use std::sync::Arc;

use serde_json::{Value, json};

pub use call::{CallPhase, CallProgress};
pub use guard::CallGuard;
pub use labels::{Explain, Labels};

use crate::audit;
use call::ActiveCall;
use guard::Recorded;
use log::CallLog;

/// The recorder of calls. Clones share one log.
#[derive(Clone)]
pub struct Activity {
    /// The member of the JSON objects that names a call's worker.
    worker: &'static str,
    explain: Explain,
    log: Option<Arc<CallLog>>,
}

/// Whether people may look at calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// On the status page.
    Yes,
    /// Nowhere.
    No,
}

impl From<bool> for Preview {
    fn from(shown: bool) -> Self {
        if shown { Self::Yes } else { Self::No }
    }
}

impl Activity {
    /// A recorder. `worker` is the JSON member that names what runs a call, say `slave`. Without a preview, calls are
    /// recorded for the audit stream only.
    pub fn new(worker: &'static str, preview: Preview) -> Self {
        let log = (preview == Preview::Yes).then(|| Arc::new(CallLog::new()));
        Self { worker, explain: |_| None, log }
    }

    /// Has the JSON of calls that ended explain their outcomes by `explain`.
    #[must_use]
    pub fn explained_by(self, explain: Explain) -> Self {
        Self { explain, ..self }
    }

    /// Whether people may look at calls.
    pub fn is_shown(&self) -> bool {
        self.log.is_some()
    }

    /// Whether calls are recorded at all.
    pub fn is_recording(&self) -> bool {
        self.is_shown() || audit::is_on()
    }

    /// Records a call that begins. `labels` is called only if calls are recorded.
    pub fn start(&self, labels: impl FnOnce() -> Labels) -> CallGuard {
        if !self.is_recording() {
            return CallGuard::default();
        }
        let call = Arc::new(ActiveCall::new(labels().printable()));
        let log = self.log.as_ref().map(|log| (Arc::clone(log), log.insert(&call)));
        CallGuard::new(Recorded { worker: self.worker, call, log })
    }

    /// Returns the recorded calls as JSON: calls under way, oldest first; those that ended last, newest first; and how
    /// many ended in each of the last seconds.
    pub fn to_json(&self) -> Value {
        match &self.log {
            Some(log) => log.to_json(self.worker, self.explain),
            None => json!({ "enabled": false }),
        }
    }
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Activity(shown: {})", self.is_shown())
    }
}

#[cfg(test)]
mod tests {
    use super::labels::MAX_LABEL_CHARS;
    use super::log::MAX_LISTED;
    use super::*;

    fn labels(tool: &str) -> Labels {
        Labels { id: "1-1".into(), tool: tool.into(), client: "c".into(), ..Labels::default() }
    }

    #[test]
    fn a_call_is_listed_while_it_runs_and_after_its_end() {
        let activity = Activity::new("slave", Preview::Yes);
        let one = activity.start(|| labels("one"));
        let two = activity.start(|| labels(&"ä".repeat(1000)));
        one.set_phase(CallPhase::Running, "s1");
        one.set_progress(CallProgress { done: 3.0, total: Some(10.0) });
        let json = activity.to_json();
        assert_eq!(json["live"]["total"], 2);
        let first = &json["live"]["list"][0];
        assert_eq!(
            (&first["tool"], &first["slave"], &first["state"]),
            (&json!("one"), &json!("s1"), &json!("running"))
        );
        assert_eq!(first["progress"], json!({ "done": 3.0, "total": 10.0 }));
        let second = &json["live"]["list"][1];
        assert_eq!((&second["state"], &second["progress"]), (&json!("waiting"), &Value::Null));
        assert_eq!(second["tool"].as_str().unwrap().chars().count(), MAX_LABEL_CHARS + 1);
        one.finish("ok");
        one.finish("error");
        drop((one, two));
        let json = activity.to_json();
        assert_eq!((&json["live"]["total"], json["recent"].as_array().unwrap().len()), (&json!(0), 2));
        assert_eq!(json["recent"][0]["outcome"], "dropped");
        assert_eq!(
            (&json["recent"][1]["outcome"], &json["recent"][1]["slave"]),
            (&json!("ok"), &json!("s1"))
        );
    }

    #[test]
    fn without_preview_and_audit_nothing_is_recorded() {
        let activity = Activity::new("slave", Preview::No);
        let call = activity.start(|| panic!("labels must not be asked for"));
        call.set_phase(CallPhase::Running, "s");
        call.finish("ok");
        assert_eq!(activity.to_json(), json!({ "enabled": false }));
    }

    #[test]
    fn workers_of_one_name_have_ids() {
        let activity = Activity::new("slave", Preview::Yes);
        let call = activity.start(|| labels("t"));
        call.set_worker_number(255);
        assert!(activity.to_json()["live"]["list"][0].get("slaveId").is_none(), "no worker has it");
        call.set_phase(CallPhase::Running, "s");
        assert_eq!(activity.to_json()["live"]["list"][0]["slaveId"], "00000000000000ff");
        call.finish("ok");
        assert_eq!(activity.to_json()["recent"][0]["slaveId"], "00000000000000ff");
    }

    #[test]
    fn outcomes_are_explained_as_far_as_there_is_an_explanation() {
        let explain: Explain = |outcome| (outcome == "timeout").then_some(["It took too long", "Wait"]);
        let activity = Activity::new("slave", Preview::Yes).explained_by(explain);
        for outcome in ["ok", "timeout"] {
            activity.start(|| labels("t")).finish(outcome);
        }
        let json = activity.to_json();
        let errors: Vec<&Value> =
            json["recent"].as_array().unwrap().iter().map(|call| &call["error"]).collect();
        assert_eq!(errors, [&json!({ "text": "It took too long", "advice": "Wait" }), &Value::Null]);
    }

    #[test]
    fn lists_are_bounded() {
        let activity = Activity::new("slave", Preview::Yes);
        let calls: Vec<CallGuard> = (0..1000).map(|_| activity.start(|| labels("t"))).collect();
        let json = activity.to_json();
        assert_eq!(json["live"]["total"], 1000);
        assert_eq!(json["live"]["list"].as_array().unwrap().len(), MAX_LISTED);
        drop(calls);
        assert!(activity.to_json()["recent"].as_array().unwrap().len() <= 200);
    }
}
