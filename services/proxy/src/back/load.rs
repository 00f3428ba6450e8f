//! How many calls a slave has under way, counted by guards. Knows nothing of links.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls under way at one slave, and how many it may have.
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicUsize,
    /// 0: no limit.
    capacity: usize,
}

impl Load {
    pub(crate) fn new(capacity: u32) -> Arc<Self> {
        Arc::new(Self { in_flight: AtomicUsize::new(0), capacity: capacity as usize })
    }

    /// Calls under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether one more call would be too many.
    pub(crate) fn is_full(&self) -> bool {
        self.capacity != 0 && self.in_flight() >= self.capacity
    }

    /// Compares two loads by the share of the capacity in use; without a capacity, by calls.
    pub(crate) fn is_lighter_than(&self, other: &Self) -> bool {
        let weight = |load: &Self| load.capacity.max(1);
        // a/ca < b/cb without division; a limitless slave counts as one of capacity 1 only against its like.
        if self.capacity == 0 || other.capacity == 0 {
            return self.in_flight() < other.in_flight();
        }
        self.in_flight() * weight(other) < other.in_flight() * weight(self)
    }

    /// One more call, until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Load>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_compared_by_share_of_capacity() {
        let (small, big) = (Load::new(2), Load::new(10));
        let _one = small.enter();
        let _four: Vec<_> = (0..4).map(|_| big.enter()).collect();
        assert!(big.is_lighter_than(&small), "4 of 10 against 1 of 2");
        let two = small.enter();
        assert!(small.is_full());
        drop(two);
        assert!(!small.is_full());
    }

    #[test]
    fn without_capacity_calls_count() {
        let (one, two) = (Load::new(0), Load::new(0));
        let _call = one.enter();
        assert!(two.is_lighter_than(&one));
        assert!(!one.is_lighter_than(&two));
        assert!(!one.is_full());
    }
}
