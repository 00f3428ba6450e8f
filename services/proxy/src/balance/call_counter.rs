//! The lock-free count of calls in flight on a slave, bounded by its capacity. Must not know slaves or queues.
//!
//! Handover to waiting calls without a lock: [`CallCounter::release`] counts down and then its caller looks for waiting
//! calls; a call that finds no capacity counts itself as waiting and then looks once more
//! ([`CallCounter::has_capacity`]). All four accesses are sequentially consistent, so at least one side sees the other:
//! no call waits beside free capacity. `tests/tests/loom_load.rs` checks that for every interleaving.

use std::sync::atomic::AtomicUsize as Limit;

use crate::sync::{AtomicUsize, Ordering};

/// Count of calls in flight.
pub(crate) struct CallCounter {
    in_flight: AtomicUsize,
    /// 0: no limit. Changes only when the slave's code allows something else.
    capacity: Limit,
}

impl CallCounter {
    /// A count of no calls. `capacity` 0: any number of calls.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { in_flight: AtomicUsize::new(0), capacity: Limit::new(capacity) }
    }

    /// Returns the largest number of calls; 0: no limit.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes the largest number of calls; calls beyond it end as usual. Where it grows, the caller looks for waiting calls
    /// afterwards.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::SeqCst);
    }

    /// Returns the number of calls in flight, for comparisons and metrics.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns whether there is capacity for one more call.
    pub(crate) fn has_capacity(&self) -> bool {
        let capacity = self.capacity();
        capacity == 0 || self.in_flight.load(Ordering::SeqCst) < capacity
    }

    /// Counts one more call, unless there is no capacity. Never exceeds the capacity, however many threads compete.
    pub(crate) fn try_acquire(&self) -> bool {
        let capacity = self.capacity();
        if capacity == 0 {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        let more = |calls| (calls < capacity).then_some(calls + 1);
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Counts one call less. The caller looks for waiting calls afterwards.
    pub(crate) fn release(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
