//! Notes on whose tasks are, from the answers of backends: who creates a task has it, and who gets an answer about one has asked for it by
//! an id that is the client's own. Must not know how ids look to clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::kind::Kind;
use serde::Deserialize;

use super::crossing::Crossing;
use crate::call::{Request, TaskOrigin};
use crate::task_owners::{TaskKey, TaskOwner};

/// What a request says of tasks, kept until its answer.
pub(super) struct TaskSubject {
    pub(super) client: Option<Arc<str>>,
    session: Option<Arc<str>>,
    tool: Arc<str>,
    /// The process and the backend's own id of the task that the request is about; `None`: the request may create one.
    about: Option<(u64, Box<str>)>,
}

/// A result that is a task: one that has it as a member (2025-11-25), or is it (the extension of 2026-07-28).
#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    task: Option<CreatedTask>,
    #[serde(rename = "taskId", default)]
    id: Option<String>,
    #[serde(rename = "ttlMs", default)]
    ttl: Option<f64>,
}

#[derive(Deserialize)]
struct CreatedTask {
    #[serde(rename = "taskId")]
    id: String,
    /// Milliseconds; `null`: without end.
    #[serde(default)]
    ttl: Option<f64>,
}

impl Created {
    /// Returns the task's id and its time in milliseconds.
    fn task(self) -> Option<(String, Option<f64>)> {
        let Self { task, id, ttl } = self;
        task.map(|task| (task.id, task.ttl)).or_else(|| Some((id?, ttl)))
    }
}

impl TaskSubject {
    /// Returns what a request says that is about a task, or may create one; `None` for others.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let header = &request.header;
        let (tool, about) = match &request.task_origin {
            Some(origin) if request.kind == Some(Kind::Task) => {
                (Arc::clone(&origin.tool), Some((origin.generation, request.name.as_str().into())))
            }
            _ if request.may_become_task() => (request.name.as_str().into(), None),
            _ => return None,
        };
        let (client, session) = (header.client.as_deref(), header.session.as_deref());
        Some(Self { client: client.map(Into::into), session: session.map(Into::into), tool, about })
    }

    /// Returns where the task is from; `generation` is the number of the process that has answered.
    pub(super) fn origin(&self, generation: u64) -> TaskOrigin {
        let generation = self.about.as_ref().map_or(generation, |(generation, _)| *generation);
        TaskOrigin { generation, tool: Arc::clone(&self.tool) }
    }

    /// Notes what a result says, which is no error. A client that is nobody in particular has no tasks.
    pub(super) fn note(&self, result: &[u8], origin: &TaskOrigin, to: &Crossing<'_>) {
        let Some(client) = &self.client else { return };
        let owner = TaskOwner {
            client: Arc::clone(client),
            session: self.session.clone(),
            tool: Arc::clone(&self.tool),
        };
        let process = to.backend.has_own_processes().then(|| Arc::clone(client));
        let generation = origin.generation;
        let key = |id| TaskKey { backend: to.owner.into(), process, generation, id };
        if let Some((_, id)) = &self.about {
            to.owners.on_asked(key(id.clone()), owner, Instant::now());
        } else if let Some((id, ttl)) = serde_json::from_slice(result).ok().and_then(Created::task) {
            let ttl = ttl.and_then(|ttl| Duration::try_from_secs_f64(ttl / 1000.0).ok());
            to.owners.on_created(key(id.into()), owner, ttl, Instant::now());
        }
    }
}
