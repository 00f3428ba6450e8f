//! The calls that run, by the names under which they are stopped. Must not know journals.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::header::CallHeader;
use protocol::ids::CallId;
use tokio::sync::Notify;

use crate::executor::CallHandle;

/// What a legacy client calls its request.
pub(super) struct Name {
    session: String,
    request_id: String,
}

impl Name {
    /// `None` where the client has no session: it cancels by hanging up.
    pub(super) fn of(header: &CallHeader) -> Option<Self> {
        let (session, request_id) = (header.session.clone()?, header.request_id.clone()?);
        Some(Self { session, request_id })
    }
}

struct Entry {
    handle: CallHandle,
    name: Option<Name>,
    /// Made when somebody first waits for room, or first has some to give.
    room: Option<Arc<Notify>>,
}

/// Calls between their start and their end.
#[derive(Default)]
pub(super) struct Running {
    calls: HashMap<CallId, Entry>,
}

impl Running {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn insert(&mut self, call: CallId, handle: CallHandle, name: Option<Name>) {
        self.calls.insert(call, Entry { handle, name, room: None });
    }

    pub(super) fn remove(&mut self, call: CallId) {
        self.calls.remove(&call);
    }

    /// Cancels a call; nothing if it has ended.
    pub(super) fn cancel(&self, call: CallId) {
        if let Some(entry) = self.calls.get(&call) {
            entry.handle.cancel();
        }
    }

    /// Cancels the calls that a session knows by this request id (as it stands in JSON).
    pub(super) fn cancel_named(&self, session: &str, request_id: &str) {
        let named = |entry: &&Entry| {
            entry.name.as_ref().is_some_and(|name| name.session == session && name.request_id == request_id)
        };
        for entry in self.calls.values().filter(named) {
            entry.handle.cancel();
        }
    }

    /// Hands the client's message on; nothing if the call has ended.
    pub(super) fn reply(&self, call: CallId, message: Bytes) {
        if let Some(entry) = self.calls.get(&call) {
            entry.handle.reply(message);
        }
    }

    /// Where the call's producer waits; `None` if the call has ended.
    pub(super) fn room(&mut self, call: CallId) -> Option<Arc<Notify>> {
        let entry = self.calls.get_mut(&call)?;
        Some(Arc::clone(entry.room.get_or_insert_default()))
    }
}
