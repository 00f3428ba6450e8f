//! Lists of tasks (2025-11-25, Tasks, "Listing Tasks"): those that one client has at all backends, under the ids by which it asks for them.
//! Must not know how backends are asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::entry_array::MAX_PAGE;
use protocol::mcp::envelope::Text;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::task_list::{self, TaskPage};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::permission::CallPolicy;
use super::registry::BackendRegistry;
use crate::bridge::{Shown, TaskIds};
use crate::call::{CallEnd, CallSink, TaskOrigin, TaskPages};
use crate::task_owners::{OwnTask, TaskOwners};

/// Longest wait for a backend. One that is slower is left out, or what it has told until then is taken.
const BACKEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of a list that a proxy asks for; tasks beyond them are left out.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// Answers requests for tasks.
pub(super) struct TaskLists {
    pub(super) registry: Arc<BackendRegistry>,
    pub(super) ids: Arc<TaskIds>,
    pub(super) owners: Arc<TaskOwners>,
    pub(super) policy: CallPolicy,
}

/// Returns whether a call asks for the list of a client's tasks.
pub(super) fn is_task_list(header: &CallHeader) -> bool {
    let of_client = header.purpose.is_request() && header.method == "tasks/list";
    header.era == Era::Legacy && (of_client || header.purpose == Purpose::TaskList)
}

#[derive(Deserialize)]
struct ListRequest<'a> {
    #[serde(borrow, default)]
    params: ListParams<'a>,
}

#[derive(Default, Deserialize)]
struct ListParams<'a> {
    #[serde(borrow, default)]
    cursor: Option<Text<'a>>,
}

impl TaskLists {
    /// Answers such a call, unless it is cancelled before.
    pub(super) async fn serve(
        self: Arc<Self>,
        header: CallHeader,
        message: Bytes,
        cancelled: CancellationToken,
        sink: Box<dyn CallSink>,
    ) {
        let label = sink.label();
        let end = tokio::select! {
            biased;
            end = self.answer(&header, &message, label.as_deref()) => end,
            () = cancelled.cancelled() => CallEnd::failed(&Failure::Cancelled, header.era),
        };
        sink.end(end);
    }

    /// Returns the list that a call asks for: one page for a client of the slave's own port, all for a proxy. `label` is that of the
    /// proxy.
    pub(super) async fn answer(&self, header: &CallHeader, message: &Bytes, label: Option<&str>) -> CallEnd {
        let of_client = header.purpose.is_request();
        let offer = self.registry.offer().borrow().clone();
        if !offer.backends.iter().any(|backend| backend.server.lists_tasks()) {
            return CallEnd::failed(&Failure::MethodNotFound("tasks/list".into()), header.era);
        }
        let request = if of_client { serde_json::from_slice(message).ok() } else { None };
        let cursor = request.and_then(|ListRequest { params }| params.cursor);
        let tasks = self.tasks(header, label).await;
        let most = if of_client { MAX_PAGE } else { usize::MAX };
        let listed = tasks.iter().map(|(id, json)| (id.as_str(), json.as_str()));
        match task_list::page(listed, cursor.as_ref().map(Text::as_str), most) {
            Ok(payload) => CallEnd { payload, ..CallEnd::empty() },
            Err(error) => CallEnd::failed(&Failure::InvalidParams(error.to_string()), header.era),
        }
    }

    /// Returns the client's tasks by id, as it is to see them, in the order of the backends and of their lists. A backend that does not
    /// answer is left out.
    async fn tasks(&self, header: &CallHeader, label: Option<&str>) -> Vec<(String, String)> {
        let Some(client) = header.client.as_deref() else { return Vec::new() };
        let owned = self.owners.of_client(client, std::time::Instant::now());
        if owned.is_empty() {
            return Vec::new();
        }
        let deadline = Instant::now() + BACKEND_TIMEOUT;
        let mut backends = self.registry.named_backends();
        backends.retain(|(name, _)| owned.contains_key(name.as_str()));
        let pages = backends.iter().map(|(_, backend)| backend.tasks(header, deadline));
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        for ((name, _), listed) in backends.iter().zip(join_all(pages).await) {
            let Some(own) = owned.get(name.as_str()) else { continue };
            let TaskPages { generation, pages } = listed;
            // One of another process that had the same id is none of these.
            let tool_of = |id: String| own.get(&OwnTask { generation, id: id.into() });
            let mut allowed: HashMap<&Arc<str>, bool> = HashMap::new();
            for page in pages.iter().filter_map(|page| TaskPage::read(page)) {
                for task in &page.tasks {
                    let Some(tool) = task.id().and_then(tool_of) else { continue };
                    let may_use = || self.policy.may_use_task(header, name, tool, &self.registry);
                    if !*allowed.entry(tool).or_insert_with(may_use) {
                        continue;
                    }
                    let origin = TaskOrigin { generation, tool: Arc::clone(tool) };
                    let to = Shown { owner: name, client: Some(client), origin: &origin, label };
                    let shown = self.ids.show(Bytes::copy_from_slice(task.json.as_bytes()), &to);
                    bytes += shown.len();
                    if bytes > MAX_LIST {
                        tracing::warn!(
                            "Tasks of a client are left out of its list: it has more than {MAX_LIST} bytes"
                        );
                        return tasks;
                    }
                    tasks.extend(with_id(&shown));
                }
            }
        }
        tasks
    }
}

/// Returns a task's id and its object.
fn with_id(task: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Task {
        #[serde(rename = "taskId")]
        id: String,
    }
    let Task { id } = serde_json::from_slice(task).ok()?;
    Some((id, String::from_utf8(task.to_vec()).ok()?))
}
