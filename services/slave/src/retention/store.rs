//! The calls that are kept, and the limits of time and size. Must not know what reads them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use tokio::time::Instant;

use super::retained_call::{Owner, RetainedCall};
use super::totals::{ClientTotals, MakeRoom, Totals};
use crate::call::CallEnd;

/// Checks of the time within the time itself.
const SWEEPS: u32 = 8;

/// How long and how much is kept for clients that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Time after a call's end (`RETENTION_SECS`); zero keeps nothing.
    pub time: Duration,
    /// Bytes of all calls (`RETENTION_BYTES`): at most a half for those of one client.
    pub bytes: usize,
}

impl Default for RetentionLimits {
    fn default() -> Self {
        Self { time: Duration::from_mins(5), bytes: 64 << 20 }
    }
}

#[derive(Default)]
struct Calls {
    by_id: HashMap<CallId, Arc<RetainedCall>>,
    /// Calls that ended and were released, the oldest first, and when.
    ended: VecDeque<(Instant, CallId)>,
    /// Clients with calls, by what stands for them.
    clients: HashMap<String, Weak<ClientTotals>>,
}

impl Calls {
    /// Returns the totals of a client.
    fn client(&mut self, owner: &Owner, all: &Arc<Totals>) -> Arc<ClientTotals> {
        let known = self.clients.get(owner.principal()).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            self.clients.retain(|_, totals| totals.strong_count() > 0);
            let totals = Arc::new(ClientTotals::new(Arc::clone(all)));
            self.clients.insert(owner.principal().to_owned(), Arc::downgrade(&totals));
            totals
        })
    }

    /// Forgets the call that ended first, of this client or of all; `false` where there is none.
    fn forget_oldest(&mut self, of: Option<&Arc<ClientTotals>>) -> bool {
        let of_client = |call: &Arc<RetainedCall>| of.is_none_or(|client| Arc::ptr_eq(client, &call.totals));
        let found = self.ended.iter().position(|(_, call)| self.by_id.get(call).is_some_and(of_client));
        let Some((_, oldest)) = found.and_then(|position| self.ended.remove(position)) else { return false };
        if let Some(oldest) = self.by_id.remove(&oldest) {
            oldest.forget();
        }
        true
    }
}

/// The store of one slave.
pub(crate) struct Retention {
    calls: Mutex<Calls>,
    totals: Arc<Totals>,
    limits: RetentionLimits,
    weak: Weak<Self>,
}

impl Retention {
    /// Creates an empty store.
    pub(crate) fn new(limits: RetentionLimits) -> Arc<Self> {
        let totals = Arc::new(Totals::new(limits.bytes));
        Arc::new_cyclic(|weak| Self { calls: Mutex::default(), totals, limits, weak: weak.clone() })
    }

    /// Forgets calls in time, also while nothing else happens. Ends with the store.
    pub(crate) fn follow_time(self: &Arc<Self>) {
        let (store, pause) =
            (Arc::downgrade(self), (self.limits.time / SWEEPS).max(Duration::from_millis(100)));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(store) = store.upgrade() else { return };
                store.forget_old(&mut store.calls.lock(), Instant::now());
            }
        });
    }

    /// Begins to keep a call; `None` where the client cannot come back to it.
    pub(crate) fn begin(&self, call: CallId, header: &CallHeader) -> Option<Arc<RetainedCall>> {
        let owner = Owner::of(header);
        if !header.resumable
            || !header.purpose.is_request()
            || owner.is_nobody()
            || self.limits.time.is_zero()
        {
            return None;
        }
        let mut calls = self.calls.lock();
        self.forget_old(&mut calls, Instant::now());
        let client = calls.client(&owner, &self.totals);
        let retained =
            Arc::new(RetainedCall::new(call, owner, client, self.weak.clone() as Weak<dyn MakeRoom>));
        calls.by_id.insert(call, Arc::clone(&retained));
        Some(retained)
    }

    /// Keeps the end of a call.
    pub(crate) fn end(&self, retained: &RetainedCall, end: &CallEnd) {
        retained.end(end);
        let mut calls = self.calls.lock();
        if retained.begins_to_age() {
            calls.ended.push_back((Instant::now(), retained.call));
        }
    }

    /// Records that whoever answers the call's client is done with it. One to which its client may return is kept for the time, once it
    /// has ended; another is forgotten now, as nearly all are: their clients got a plain answer.
    pub(crate) fn release(&self, call: CallId, may_return: bool) {
        let mut calls = self.calls.lock();
        if may_return {
            if calls.by_id.get(&call).is_some_and(|call| call.release()) {
                calls.ended.push_back((Instant::now(), call));
            }
        } else if let Some(call) = calls.by_id.remove(&call) {
            call.forget();
        }
    }

    /// Returns the call if this session began it.
    pub(super) fn find(&self, call: CallId, header: &CallHeader) -> Option<Arc<RetainedCall>> {
        let found = self.calls.lock().by_id.get(&call).cloned()?;
        (found.owner == Owner::of(header)).then_some(found)
    }

    /// Forgets the calls of a session that ended.
    pub(crate) fn end_session(&self, session: &str) {
        let mut calls = self.calls.lock();
        let Calls { by_id, ended, .. } = &mut *calls;
        by_id.retain(|_, call| {
            let leaves = call.owner.is_of(session) && call.has_ended();
            if leaves {
                call.forget();
            }
            !leaves
        });
        ended.retain(|(_, call)| by_id.contains_key(call));
    }

    fn forget_old(&self, calls: &mut Calls, now: Instant) {
        while let Some((ended, call)) = calls.ended.front().copied() {
            if now.duration_since(ended) < self.limits.time {
                break;
            }
            calls.ended.pop_front();
            if let Some(call) = calls.by_id.remove(&call) {
                call.forget();
            }
        }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.totals.bytes()
    }

    /// Calls that are kept.
    pub(crate) fn len(&self) -> usize {
        self.calls.lock().by_id.len()
    }
}

impl MakeRoom for Retention {
    fn make_room(&self, client: &Arc<ClientTotals>) {
        let mut calls = self.calls.lock();
        while client.is_over_share() && calls.forget_oldest(Some(client)) {}
        while self.totals.is_over() && calls.forget_oldest(None) {}
    }
}
