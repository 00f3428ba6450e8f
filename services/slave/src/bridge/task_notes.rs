//! Notes on whose tasks are, from the answers of legacy backends: who creates a task has it, and who gets an answer about one has asked for
//! it by an id that is the client's own. Must not know how ids look to clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::era::{Era, Version};
use protocol::mcp::kind::Kind;
use serde::Deserialize;

use super::crossing::Crossing;
use crate::call::Request;
use crate::task_owners::{TaskKey, TaskOwner};

/// What a request says of tasks, kept until its answer.
pub(super) struct TaskNote {
    owner: TaskOwner,
    /// The backend's own id of the task that the request is about; `None`: the request may create one.
    about: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Created {
    task: CreatedTask,
}

#[derive(Deserialize)]
struct CreatedTask {
    #[serde(rename = "taskId")]
    id: String,
    /// Milliseconds; `null`: without end.
    #[serde(default)]
    ttl: Option<f64>,
}

impl TaskNote {
    /// Returns the note of a request that is about a task, or may create one; `None` for others, and where the client is nobody in
    /// particular.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let header = &request.header;
        let (is_about, may_create) = (request.kind == Some(Kind::Task), request.task.is_some());
        if header.era != Era::Legacy || !(is_about || may_create) {
            return None;
        }
        let client: Arc<str> = header.client.as_deref()?.into();
        let owner = TaskOwner { client, session: header.session.as_deref().map(Into::into) };
        Some(Self { owner, about: is_about.then(|| request.name.as_str().into()) })
    }

    /// Notes what a result says, which is no error.
    pub(super) fn take(self, result: &[u8], to: &Crossing<'_>) {
        if to.backend.version().map(Version::era) != Some(Era::Legacy) {
            return;
        }
        let Self { owner, about } = self;
        let process = to.backend.has_own_processes().then(|| Arc::clone(&owner.client));
        let key = |id| TaskKey { backend: to.owner.into(), process, id };
        if let Some(id) = about {
            to.owners.on_asked(key(id), owner, Instant::now());
        } else if let Ok(Created { task }) = serde_json::from_slice(result) {
            let ttl = task.ttl.and_then(|ttl| Duration::try_from_secs_f64(ttl / 1000.0).ok());
            to.owners.on_created(key(task.id.into()), owner, ttl, Instant::now());
        }
    }
}
