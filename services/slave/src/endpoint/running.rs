//! The calls that run, by the names under which they are stopped. Must not know journals.

use std::sync::Arc;

use protocol::link::header::CallHeader;
use protocol::link::ids::{CallId, CallMap};
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
    handle: Handle,
    name: Option<Name>,
    /// Made when somebody first waits for room, or first has some to give.
    room: Option<Arc<Notify>>,
}

/// How a call is reached. It is in the list before it is spawned: its end, which may come at once, has to find it.
enum Handle {
    /// Being spawned.
    Coming,
    /// Being spawned, and not wanted any more.
    Unwanted,
    /// Running.
    Here(CallHandle),
}

impl Entry {
    fn cancel(&mut self) {
        match &self.handle {
            Handle::Here(handle) => handle.cancel(),
            Handle::Coming | Handle::Unwanted => self.handle = Handle::Unwanted,
        }
    }
}

/// Calls between their start and their end.
#[derive(Default)]
pub(super) struct Running {
    calls: CallMap<Entry>,
}

impl Running {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// A call is about to be spawned.
    pub(super) fn enter(&mut self, call: CallId, name: Option<Name>) {
        self.calls.insert(call, Entry { handle: Handle::Coming, name, room: None });
    }

    /// The call was spawned. It may have ended by now.
    pub(super) fn spawned(&mut self, call: CallId, handle: CallHandle) {
        if let Some(entry) = self.calls.get_mut(&call) {
            if matches!(entry.handle, Handle::Unwanted) {
                handle.cancel();
            }
            entry.handle = Handle::Here(handle);
        }
    }

    pub(super) fn remove(&mut self, call: CallId) {
        self.calls.remove(&call);
    }

    /// Cancels a call; nothing if it has ended.
    pub(super) fn cancel(&mut self, call: CallId) {
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.cancel();
        }
    }

    /// Cancels the calls that a session knows by this request id (as it stands in JSON).
    pub(super) fn cancel_named(&mut self, session: &str, request_id: &str) {
        let named = |entry: &&mut Entry| {
            entry.name.as_ref().is_some_and(|name| name.session == session && name.request_id == request_id)
        };
        for entry in self.calls.values_mut().filter(named) {
            entry.cancel();
        }
    }

    /// Where the call's producer waits; `None` if the call has ended.
    pub(super) fn room(&mut self, call: CallId) -> Option<Arc<Notify>> {
        let entry = self.calls.get_mut(&call)?;
        Some(Arc::clone(entry.room.get_or_insert_default()))
    }
}
