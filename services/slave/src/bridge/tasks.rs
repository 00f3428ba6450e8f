//! Ids of tasks as clients see them (2025-11-25, Tasks; the extension `io.modelcontextprotocol/tasks`): the backend's own id behind what names
//! the backend, its process and the tool that made the task, and binds the id to one client. A proxy's label stands in front. Must not know links.
//!
//! Ids end with this process, and with the process of the backend.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use bytes::Bytes;
use protocol::mcp::result::may_have_task_id;
use protocol::mcp::splice::{Edit, range_in, splice};
use protocol::mcp::task_id::TaskId;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::call::TaskOrigin;

/// Hex digits of the backend's digest.
const OWNER: usize = 8;
/// Hex digits of the seal.
const SEAL: usize = 32;

/// Maker and reader of ids, with a random key of this process.
pub(crate) struct TaskIds {
    /// `None`: the system has no random numbers, and no id is read again.
    key: Option<hmac::Key>,
}

/// The task that an id of a client names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskName {
    /// Digest of the backend's name.
    pub(crate) owner: String,
    /// Where the task is from.
    pub(crate) origin: TaskOrigin,
    /// The backend's own id.
    pub(crate) id: String,
}

/// Returns the digest of a backend's name that stands in ids.
pub(crate) fn owner_digest(backend: &str) -> String {
    hex(&Sha256::digest(backend.as_bytes()), OWNER)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    bytes.iter().take(digits / 2).fold(String::with_capacity(digits), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl TaskIds {
    /// Makes a random key.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        let random = getrandom::fill(&mut bytes).is_ok();
        Self { key: random.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes)) }
    }

    fn seal(&self, owner: &str, client: Option<&str>, origin: &TaskOrigin, id: &str) -> Option<String> {
        let mut with = hmac::Context::with_key(self.key.as_ref()?);
        // Neither digests nor clients have a line break in them, and a tool's length says where its name ends.
        let TaskOrigin { generation, tool } = origin;
        let (client, length) = (client.unwrap_or_default(), tool.len());
        with.update(format!("{owner}\n{client}\n{generation}\n{length}\n{tool}\n").as_bytes());
        with.update(id.as_bytes());
        Some(hex(with.sign().as_ref(), SEAL))
    }

    /// Reads the id of a request, without a label; `None`: it is not one that this process gave to this client.
    pub(crate) fn read(&self, id: &str, client: Option<&str>) -> Option<TaskName> {
        let TaskId { backend, generation, seal, tool, own } = TaskId::read(id)?;
        let origin = TaskOrigin { generation, tool: tool.into() };
        let expected = self.seal(backend, client, &origin, own)?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(seal.as_bytes(), expected.as_bytes());
        same.ok()?;
        Some(TaskName { owner: backend.to_owned(), origin, id: own.to_owned() })
    }

    /// Returns what stands in front of an id, a JSON string, for a client; `None` for what is no string.
    fn prefix(&self, id: &RawValue, to: &Shown<'_>) -> Option<String> {
        let own: String = serde_json::from_str(id.get()).ok()?;
        let owner = owner_digest(to.owner);
        let seal = self.seal(&owner, to.client, to.origin, &own)?;
        let (generation, tool) = (to.origin.generation, to.origin.tool.to_string());
        let id = TaskId { backend: &owner, generation, seal: &seal, tool, own: &own };
        Some(format!("{}{}", to.label.unwrap_or_default(), id.prefix()))
    }

    /// Returns a `notifications/tasks/status` with the id of its task as the client is to see it; `None` where it has none.
    pub(crate) fn show_status(&self, message: &Bytes, to: &Shown<'_>) -> Option<Bytes> {
        let Notification { params: Task { id } } = serde_json::from_slice(message).ok()?;
        let (id, at) = (id?, range_in(message, id?).start + 1);
        let prefix = self.prefix(id, to)?;
        Some(splice(message, &mut [Edit { range: at..at, with: prefix.as_bytes() }], 0).into())
    }

    /// Returns the result with each id of a task as the client is to see it, all else as it stands.
    pub(crate) fn show(&self, result: Bytes, to: &Shown<'_>) -> Bytes {
        // serde would also take an array of the members in their order.
        if !may_have_task_id(&result) || !result.trim_ascii_start().starts_with(b"{") {
            return result;
        }
        let Ok(outside) = serde_json::from_slice::<Outside<'_>>(&result) else { return result };
        let related = outside.meta.and_then(|meta| meta.related).and_then(|related| related.id);
        let task = outside.task.and_then(|task| task.id);
        let ids = [outside.id, task, related].into_iter().flatten();
        let prefixes: Vec<(usize, String)> =
            ids.filter_map(|raw| Some((range_in(&result, raw).start + 1, self.prefix(raw, to)?))).collect();
        let mut edits: Vec<Edit<'_>> =
            prefixes.iter().map(|(at, prefix)| Edit { range: *at..*at, with: prefix.as_bytes() }).collect();
        splice(&result, &mut edits, 0).into()
    }
}

/// Whom ids are shown to.
pub(crate) struct Shown<'a> {
    /// The backend's name.
    pub(crate) owner: &'a str,
    pub(crate) client: Option<&'a str>,
    /// Where the tasks are from.
    pub(crate) origin: &'a TaskOrigin,
    /// The label of the proxy that the call came from.
    pub(crate) label: Option<&'a str>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    params: Task<'a>,
}

#[derive(Deserialize)]
struct Outside<'a> {
    #[serde(rename = "taskId", borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    task: Option<Task<'a>>,
    #[serde(rename = "_meta", borrow, default)]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(rename = "taskId", borrow, default)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/related-task", borrow, default)]
    related: Option<Task<'a>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> TaskOrigin {
        TaskOrigin { generation: 7, tool: "a tool".into() }
    }

    fn shown(ids: &TaskIds, result: &str, label: Option<&str>) -> String {
        let to = Shown { owner: "backend", client: Some("me"), origin: &origin(), label };
        String::from_utf8(ids.show(Bytes::from(result.to_owned()), &to).to_vec()).unwrap()
    }

    #[test]
    fn only_ids_of_tasks_change() {
        let ids = TaskIds::random();
        for result in [
            r#"{"task":{"taskId":"@","n":1e400},"x":[1.0]}"#,
            r#"{"resultType":"task","taskId" : "@","ttlMs":null}"#,
            r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"@"}}}"#,
        ] {
            let with = shown(&ids, &result.replace('@', "a"), Some("L."));
            let id = with.split("L.").nth(1).unwrap().split('"').next().unwrap();
            assert_eq!(with, result.replace('@', &format!("L.{id}")));
            assert_eq!(
                ids.read(id, Some("me")).unwrap(),
                TaskName { owner: owner_digest("backend"), origin: origin(), id: "a".into() }
            );
        }
        for other in [
            r#"{"structuredContent":{"taskId":"a"},"content":[{"text":"\"taskId\""}]}"#,
            r#"{"taskId":1}"#,
            r#"{"taskId":"\ud83d"}"#,
            "[\"taskId\"]",
        ] {
            assert_eq!(shown(&ids, other, None), other);
        }
    }

    #[test]
    fn a_status_names_the_task_as_its_client_knows_it_and_is_else_as_it_was() {
        let ids = TaskIds::random();
        let status = r#"{"jsonrpc":"2.0","params":{"n":1e400,"taskId":"@","status":"working"},"method":"notifications/tasks/status"}"#;
        let origin = origin();
        let to = Shown { owner: "backend", client: Some("me"), origin: &origin, label: Some("L.") };
        let shown = ids.show_status(&status.replace('@', "a").into(), &to).unwrap();
        let shown = String::from_utf8(shown.to_vec()).unwrap();
        let id = shown.split("L.").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(shown, status.replace('@', &format!("L.{id}")));
        assert_eq!(ids.read(id, Some("me")).map(|task| task.id).as_deref(), Some("a"));
        for other in [r#"{"params":{}}"#, r#"{"params":{"taskId":1}}"#, "{}", "x"] {
            assert_eq!(ids.show_status(&Bytes::from_static(other.as_bytes()), &to), None);
        }
    }

    proptest! {
        #[test]
        fn an_id_is_good_for_its_own_client_and_process_only(own in ".{0,40}", at: usize) {
            let ids = TaskIds::random();
            let result = serde_json::json!({ "taskId": own }).to_string();
            let value: serde_json::Value = serde_json::from_str(&shown(&ids, &result, None)).unwrap();
            let id = value["taskId"].as_str().unwrap();
            prop_assert_eq!(ids.read(id, Some("me")).map(|task| task.id), Some(own.clone()));
            prop_assert_eq!(ids.read(id, Some("you")), None);
            prop_assert_eq!(ids.read(id, None), None);
            prop_assert_eq!(TaskIds::random().read(id, Some("me")), None);
            // Neither another process nor another tool can be named.
            let read = TaskId::read(id).unwrap();
            for other in [
                TaskId { generation: 8, ..read.clone() },
                TaskId { tool: "another".into(), ..read.clone() },
                TaskId { backend: "01234567", ..read.clone() },
            ] {
                prop_assert_eq!(ids.read(&format!("{}{}", other.prefix(), other.own), Some("me")), None);
            }
            let at = at % (id.len() - own.len());
            let mut changed = id.to_owned();
            changed.replace_range(at..=at, "~");
            prop_assert_eq!(ids.read(&changed, Some("me")), None);
        }
    }
}
