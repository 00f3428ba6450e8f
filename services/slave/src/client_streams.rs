//! The ways from a backend to clients beside calls in flight: the streams of sessions, for what is one client's alone (2025-11-25,
//! Transports, "Listening for Messages from the Server"). Must not know links.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::mcp::subscription::MAX_UPDATE;

use crate::call::TaskOrigin;
use crate::subscriptions::{Addressee, Notice, NoticedTask, SessionSubscriptions};
use crate::task_owners::{TaskKey, TaskOwner, TaskOwners};

/// The streams of all clients, and what is known of whom tasks are for. Clones share both.
#[derive(Clone, Default)]
pub(crate) struct ClientStreams {
    pub(crate) sessions: Arc<SessionSubscriptions>,
    pub(crate) owners: Arc<TaskOwners>,
}

/// The ways of one process of a backend.
#[derive(Clone, Default)]
pub(crate) struct ProcessStreams {
    all: ClientStreams,
    /// Whom the process runs for; `None`: for all clients.
    process: Option<Addressee>,
}

impl ProcessStreams {
    /// Returns the ways of a process that all clients share.
    pub(crate) fn shared(all: ClientStreams) -> Self {
        Self { all, process: None }
    }

    /// Returns the ways of a process of one session or client; `None`: of one call alone.
    pub(crate) fn of_process(&self, process: Option<Addressee>) -> Self {
        Self { all: self.all.clone(), process }
    }

    /// Returns whose a task of the process of this number is, by the backend's own id of it, and where it is from.
    pub(crate) fn task_owner(
        &self,
        backend: &Arc<str>,
        generation: u64,
        id: &str,
    ) -> Option<(Addressee, NoticedTask)> {
        let process = match &self.process {
            Some(Addressee::Session { client, .. }) => Some(Arc::clone(client.as_ref()?)),
            Some(Addressee::Client(client)) => Some(Arc::clone(client)),
            None => None,
        };
        let key = TaskKey { backend: Arc::clone(backend), process, generation, id: id.into() };
        let TaskOwner { client, session, tool } = self.all.owners.owner(&key, Instant::now())?;
        let owner = match (&self.process, session) {
            (Some(process), _) => process.clone(),
            (None, Some(session)) => Addressee::Session { session, client: Some(client) },
            (None, None) => Addressee::Client(client),
        };
        let origin = TaskOrigin { generation, tool };
        Some((owner, NoticedTask { backend: Arc::clone(backend), origin }))
    }

    /// Hands the status of a task to the stream of its client. Returns false where it has none.
    pub(crate) fn deliver_task_status(&self, to: &Addressee, task: NoticedTask, message: &Bytes) -> bool {
        self.deliver(to, message, Some(task))
    }

    /// Hands a notification of an extension to the stream of the client that the process runs for. Returns false where there is none, and
    /// where several clients share the process.
    pub(crate) fn deliver_extension(&self, message: &Bytes) -> bool {
        self.process.as_ref().is_some_and(|to| self.deliver(to, message, None))
    }

    fn deliver(&self, to: &Addressee, message: &Bytes, task: Option<NoticedTask>) -> bool {
        message.len() <= MAX_UPDATE
            && self.all.sessions.deliver(to, Notice { message: message.clone(), task })
    }
}
