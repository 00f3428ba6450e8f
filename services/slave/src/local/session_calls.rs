//! The running calls of clients with sessions, by which those calls are cancelled. Must not know what runs them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use protocol::link::header::CallHeader;

use crate::call::CallHandle;

/// The key of a call. `number` tells two calls with the same request id apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionCallKey {
    pub(super) session: String,
    pub(super) request_id: String,
    number: u64,
}

/// The running calls of clients with sessions.
#[derive(Default)]
pub(super) struct SessionCalls {
    /// `None` until the call is spawned.
    calls: Mutex<HashMap<SessionCallKey, Option<CallHandle>>>,
    next_number: AtomicU64,
}

/// The entry of one call. Dropping it removes the call.
pub(super) struct SessionCallGuard {
    calls: Arc<SessionCalls>,
    /// `None` for clients without a session.
    key: Option<SessionCallKey>,
}

impl SessionCalls {
    /// Adds a call that is about to be spawned.
    pub(super) fn add(self: &Arc<Self>, header: &CallHeader) -> SessionCallGuard {
        let key = header.session.clone().zip(header.request_id.clone()).map(|(session, request_id)| {
            let number = self.next_number.fetch_add(1, Ordering::Relaxed);
            let key = SessionCallKey { session, request_id, number };
            self.calls.lock().insert(key.clone(), None);
            key
        });
        SessionCallGuard { calls: Arc::clone(self), key }
    }

    /// Sets the handle of a call that was spawned; does nothing if the call has ended by now.
    pub(super) fn set_handle(&self, key: Option<SessionCallKey>, handle: &CallHandle) {
        let Some(key) = key else { return };
        if let Some(entry) = self.calls.lock().get_mut(&key) {
            *entry = Some(handle.clone());
        }
    }

    /// Cancels the calls whose key matches, for the reason that the client gave.
    pub(super) fn cancel(&self, matches: impl Fn(&SessionCallKey) -> bool, reason: Option<&str>) {
        for (key, handle) in &*self.calls.lock() {
            if let Some(handle) = handle.as_ref().filter(|_| matches(key)) {
                handle.cancel_for(reason);
            }
        }
    }

    /// Returns the number of calls.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.lock().len()
    }
}

impl SessionCallGuard {
    /// Returns the key of the call.
    pub(super) fn key(&self) -> Option<SessionCallKey> {
        self.key.clone()
    }
}

impl Drop for SessionCallGuard {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.calls.calls.lock().remove(&key);
        }
    }
}
