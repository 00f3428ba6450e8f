//! The calls that run, by id and by the digest by which a legacy client's cancellation names them. Must not know journals.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::ids::{CallId, CallMap};
use tokio::sync::Notify;

use crate::call::CallHandle;

/// A call between its start and its end.
struct CallEntry {
    handle: HandleState,
    /// `None`: a call of a client without a session, which cancels by disconnecting.
    cancel_id: Option<String>,
    /// Notified when the journal has space again. Made when it is first needed.
    space: Option<Arc<Notify>>,
}

/// The handle of a call. The call is in the table before it is spawned, since its end, which may come at once, removes it.
enum HandleState {
    /// The call is being spawned.
    Spawning,
    /// The call is being spawned and is to be cancelled then, for this reason if there is one.
    Cancelled(Option<Box<str>>),
    /// The call runs.
    Running(CallHandle),
}

impl CallEntry {
    fn cancel(&mut self, reason: Option<&str>) {
        match &self.handle {
            HandleState::Running(handle) => handle.cancel_for(reason),
            HandleState::Spawning => self.handle = HandleState::Cancelled(reason.map(Into::into)),
            HandleState::Cancelled(_) => {}
        }
    }
}

/// The calls between their start and their end.
#[derive(Default)]
pub(super) struct CallTable {
    calls: CallMap<CallEntry>,
    /// When the last call was added.
    added: Option<Instant>,
}

impl CallTable {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Adds a call that is about to be spawned.
    pub(super) fn add(&mut self, call: CallId, cancel_id: Option<String>, now: Instant) {
        self.added = Some(now);
        self.calls.insert(call, CallEntry { handle: HandleState::Spawning, cancel_id, space: None });
    }

    /// Returns whether there are calls, or was one within `time` before `now`.
    pub(super) fn was_in_use(&self, now: Instant, time: Duration) -> bool {
        let is_recent = |added: Instant| now.saturating_duration_since(added) < time;
        !self.calls.is_empty() || self.added.is_some_and(is_recent)
    }

    /// Sets the handle of a call that was spawned; does nothing if the call has ended by now.
    pub(super) fn set_handle(&mut self, call: CallId, handle: CallHandle) {
        if let Some(entry) = self.calls.get_mut(&call) {
            if let HandleState::Cancelled(reason) = &entry.handle {
                handle.cancel_for(reason.as_deref());
            }
            entry.handle = HandleState::Running(handle);
        }
    }

    /// Removes a call that has ended.
    pub(super) fn remove(&mut self, call: CallId) {
        self.calls.remove(&call);
    }

    /// Cancels a call; does nothing if it has ended.
    pub(super) fn cancel(&mut self, call: CallId) {
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.cancel(None);
        }
    }

    /// Cancels the calls that have one of these digests, for the reason that the client gave.
    pub(super) fn cancel_request(&mut self, digests: &[String], reason: Option<&str>) {
        let named = |entry: &&mut CallEntry| entry.cancel_id.as_ref().is_some_and(|id| digests.contains(id));
        for entry in self.calls.values_mut().filter(named) {
            entry.cancel(reason);
        }
    }

    /// Returns where the writer of a call waits for space; `None` if the call has ended.
    pub(super) fn space(&mut self, call: CallId) -> Option<Arc<Notify>> {
        let entry = self.calls.get_mut(&call)?;
        Some(Arc::clone(entry.space.get_or_insert_default()))
    }
}
