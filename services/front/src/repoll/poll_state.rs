//! The lock-free handover between the task that polls a future and the wakers of that future. Must not know wakers,
//! and nothing of this crate but its atomics: `tests/tests/loom_repoll.rs` compiles this file as it is.

use crate::sync::{AtomicU8, Ordering};

const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// State of one future: whether it is being polled, and whether it was woken meanwhile.
///
/// Every transition is one atomic read-modify-write of one variable, so a poll and a wake-up never miss each other: a
/// wake-up before [`Self::end_poll`] is reported by that call, and one after it makes [`Self::record_wake`] ask for the
/// outer task's wake-up.
pub(crate) struct PollState(AtomicU8);

impl PollState {
    /// State of a future that is not being polled.
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Marks the beginning of a poll. The poll sees everything that was written before earlier wake-ups.
    pub(crate) fn begin_poll(&self) {
        self.0.swap(POLLING, Ordering::AcqRel);
    }

    /// Marks the end of a poll. Returns whether the future was woken since [`Self::begin_poll`].
    pub(crate) fn end_poll(&self) -> bool {
        self.0.swap(0, Ordering::AcqRel) & WOKEN != 0
    }

    /// Records a wake-up. Returns whether the caller must wake the outer task, since no poll is under way.
    #[must_use]
    pub(crate) fn record_wake(&self) -> bool {
        self.0.fetch_or(WOKEN, Ordering::AcqRel) & POLLING == 0
    }
}
