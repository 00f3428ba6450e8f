//! The calls that are kept, and the limits of time and size. Must not know what reads them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use tokio::time::Instant;

use super::retained_call::{Owner, RetainedCall};
use super::totals::Totals;
use crate::call::CallEnd;
use crate::metrics;

/// Checks of the time within the time itself.
const SWEEPS: u32 = 8;

/// How long and how much is kept for clients that come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Time after a call's end (`RETENTION_SECS`); zero keeps nothing.
    pub time: Duration,
    /// Bytes of all calls (`RETENTION_BYTES`).
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
    /// Calls that ended, the oldest first, and when.
    ended: VecDeque<(Instant, CallId)>,
}

/// The store of one slave.
pub(crate) struct Retention {
    calls: Mutex<Calls>,
    totals: Arc<Totals>,
    limits: RetentionLimits,
}

impl Retention {
    /// Creates an empty store.
    pub(crate) fn new(limits: RetentionLimits) -> Arc<Self> {
        let totals = Arc::new(Totals::new(limits.bytes));
        Arc::new(Self { calls: Mutex::default(), totals, limits })
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
                metrics::set_retained(store.bytes(), store.len());
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
        let retained = Arc::new(RetainedCall::new(call, owner, Arc::clone(&self.totals)));
        let mut calls = self.calls.lock();
        self.forget_old(&mut calls, Instant::now());
        calls.by_id.insert(call, Arc::clone(&retained));
        Some(retained)
    }

    /// Keeps the end of a call: its time begins. Calls that ended before give way to it, the oldest first.
    pub(crate) fn end(&self, retained: &RetainedCall, end: &CallEnd) {
        let mut calls = self.calls.lock();
        while self.totals.is_over(0) {
            let Some((_, oldest)) = calls.ended.pop_front() else { break };
            if let Some(oldest) = calls.by_id.remove(&oldest) {
                oldest.forget();
            }
        }
        calls.ended.push_back((Instant::now(), retained.call));
        drop(calls);
        retained.end(end);
    }

    /// Returns the call if this session began it.
    pub(super) fn find(&self, call: CallId, header: &CallHeader) -> Option<Arc<RetainedCall>> {
        let found = self.calls.lock().by_id.get(&call).cloned()?;
        (found.owner == Owner::of(header)).then_some(found)
    }

    /// Forgets the calls of a session that ended.
    pub(crate) fn end_session(&self, session: &str) {
        let mut calls = self.calls.lock();
        let Calls { by_id, ended } = &mut *calls;
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
