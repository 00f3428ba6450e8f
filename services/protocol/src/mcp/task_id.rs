//! Ids of tasks as clients see them (2025-11-25, Tasks; the extension `io.modelcontextprotocol/tasks`): the backend's own id behind what a
//! slave says of the task (docs/PROTOCOL.md, "requestState"). Must not know how an id is sealed.
//!
//! `mrt2.<backend>.<generation>.<seal>.<tool>.<the backend's id>`, in front of which stands the label of the slave. Only the slave can tell
//! whether it made the id: others may read it to decide less, never more.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::call_message::TASK_STATUS;
use super::envelope::Text;
use super::object::Object;
use super::request_state::{LABEL_LENGTH, StateLabel};

/// First characters of every id.
const PREFIX: &str = "mrt2.";

/// Id of a task, without a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskId<'a> {
    /// Digest of the backend's name.
    pub backend: &'a str,
    /// Number of the backend's process that has the task; 0: of a backend that is none of the slave's processes.
    pub generation: u64,
    /// What binds the id to its client.
    pub seal: &'a str,
    /// The tool that made the task, by the slave's name.
    pub tool: String,
    /// The backend's own id.
    pub own: &'a str,
}

impl<'a> TaskId<'a> {
    /// Reads an id. Each task has one id only: anything else than what is written is `None`.
    pub fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.splitn(5, '.');
        let (backend, number, seal) = (parts.next()?, parts.next()?, parts.next()?);
        let tool = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let generation: u64 = number.parse().ok()?;
        let id = Self { backend, generation, seal, tool: String::from_utf8(tool).ok()?, own: parts.next()? };
        (generation.to_string() == number).then_some(id)
    }

    /// Returns what stands in front of the backend's own id: without characters that JSON escapes.
    pub fn prefix(&self) -> TaskIdPrefix<'_> {
        TaskIdPrefix(self)
    }
}

/// What stands in front of the backend's own id.
pub struct TaskIdPrefix<'a>(&'a TaskId<'a>);

impl fmt::Display for TaskIdPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskId { backend, generation, seal, tool, .. } = self.0;
        write!(f, "{PREFIX}{backend}.{generation}.{seal}.{}.", URL_SAFE_NO_PAD.encode(tool))
    }
}

/// Returns the label and the id behind it; `None` where either is missing.
pub fn with_label(text: &str) -> Option<(StateLabel, TaskId<'_>)> {
    let label = StateLabel::at_start(text.as_bytes())?;
    Some((label, TaskId::read(text.get(LABEL_LENGTH..)?)?))
}

/// Returns the id of the task that a `notifications/tasks/status` is about; `None`: the message is another one.
pub fn of_status(message: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        method: Text<'a>,
        #[serde(borrow)]
        params: Params<'a>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(rename = "taskId", borrow)]
        id: Text<'a>,
    }
    let Object(Status { method, params }) = serde_json::from_slice(message).ok()?;
    (method.as_str() == TASK_STATUS).then(|| params.id.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_id_is_not_read() {
        for other in [
            "",
            "mrt2.",
            "mrt1.b.s.own",
            "mrt2.b.1.s.dG9vbA",
            "mrt2.b.01.s.dG9vbA.own",
            "mrt2.b.+1.s.dG9vbA.own",
            "mrt2.b.-1.s.dG9vbA.own",
            "mrt2.b.1.s.dG9vbA=.own",
            "mrt2.b.1.s./w.own",
            "mrt2.b.1.s._w.own",
        ] {
            assert_eq!(TaskId::read(other), None, "{other}");
        }
        let id = TaskId::read("mrt2.b.1.s.dG9vbA.a.b").unwrap();
        assert_eq!((id.tool.as_str(), id.own), ("tool", "a.b"));
        assert_eq!(with_label("mrt2.b.1.s.dG9vbA.a.b"), None);
    }

    #[test]
    fn a_status_names_its_task_and_other_messages_none() {
        let status =
            br#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"a\u0062"}}"#;
        assert_eq!(of_status(status).as_deref(), Some("ab"));
        for other in [
            &br#"{"method":"notifications/x","params":{"taskId":"a"}}"#[..],
            br#"{"method":"notifications/tasks/status","params":{"taskId":1}}"#,
            br#"["notifications/tasks/status",{"taskId":"a"}]"#,
        ] {
            assert_eq!(of_status(other), None);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(tool in ".{0,40}", own in ".{0,40}", generation: u64) {
            let id = TaskId { backend: "0123abcd", generation, seal: "ff", tool, own: &own };
            let prefix = id.prefix().to_string();
            prop_assert!(prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
            let text = format!("{prefix}{own}");
            prop_assert_eq!(TaskId::read(&text), Some(id.clone()));
            let label = StateLabel { process: 1, identity: 2 };
            let labelled = format!("{label}{text}");
            prop_assert_eq!(with_label(&labelled), Some((label, id.clone())));
        }
    }
}
