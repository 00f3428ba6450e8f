//! The calls in flight on a slave, counted by permits, and the limits of their number and rate. Must not know links.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use super::call_counter::CallCounter;
use super::load::Load;
use crate::limits::rate_limiter::RateLimiter;

/// Notified of capacity that was freed. Called while the slave's state is locked: must not call the slave.
pub(crate) trait CapacityListener: Send + Sync {
    /// The slave with this key has one call less in flight.
    fn on_capacity_freed(&self, slave: u64);
}

/// Why a slave that accepts calls takes none at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// As many calls are in flight as the capacity allows.
    AtCapacity,
    /// The rate limit allows the next call at this time.
    RateLimited(Instant),
}

/// The calls in flight on a slave.
pub(crate) struct ActiveCalls {
    slave: u64,
    counter: CallCounter,
    rate_limit: ArcSwapOption<RateLimiter>,
    listener: OnceLock<Arc<dyn CapacityListener>>,
}

impl ActiveCalls {
    /// No calls yet, on the slave with this key. `capacity` 0: any number of calls.
    pub(crate) fn new(slave: u64, capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            slave,
            counter: CallCounter::new(capacity as usize),
            rate_limit: ArcSwapOption::empty(),
            listener: OnceLock::new(),
        })
    }

    /// Notifies `listener` of freed capacity from now on. Only the first listener is kept.
    pub(crate) fn subscribe(&self, listener: &Arc<dyn CapacityListener>) {
        self.listener.get_or_init(|| Arc::clone(listener));
    }

    /// Returns the rate limit in force.
    pub(crate) fn rate_limit(&self) -> Option<Arc<RateLimiter>> {
        self.rate_limit.load_full()
    }

    /// Replaces the rate limit; `None` removes it.
    pub(crate) fn set_rate_limit(&self, limit: Option<Arc<RateLimiter>>) {
        self.rate_limit.store(limit);
    }

    /// Returns the number of calls in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.counter.in_flight()
    }

    /// Returns the largest number of calls in flight; 0: no limit.
    pub(crate) fn capacity(&self) -> usize {
        self.counter.capacity()
    }

    /// Changes the largest number of calls in flight; 0: no limit. Calls that wait are told of capacity that this adds.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        if self.counter.capacity() == capacity as usize {
            return;
        }
        self.counter.set_capacity(capacity as usize);
        if let Some(listener) = self.listener.get() {
            listener.on_capacity_freed(self.slave);
        }
    }

    /// Returns whether there is capacity for one more call. A call that begins to wait asks after it was counted as
    /// waiting: then capacity freed from now on is announced to it.
    pub(crate) fn has_capacity(&self) -> bool {
        self.counter.has_capacity()
    }

    /// Returns the load on a slave with this weight (percent).
    pub(crate) fn load(&self, weight: u32) -> Load {
        Load::new(self.counter.in_flight(), self.counter.capacity(), weight)
    }

    /// Counts one more call until the permit is dropped. Never exceeds the capacity, however many threads compete.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Result<Permit, Busy> {
        if !self.counter.try_acquire() {
            return Err(Busy::AtCapacity);
        }
        if let Some(until) = self.rate_limit.load().as_ref().and_then(|limit| limit.take()) {
            // The listener is not notified: calls that wait for this slave wait for its rate limit.
            self.counter.release();
            return Err(Busy::RateLimited(until));
        }
        Ok(Permit(Arc::clone(self)))
    }
}

/// Permit for one call in flight. Dropping it frees its capacity and notifies the listener.
pub(crate) struct Permit(Arc<ActiveCalls>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.counter.release();
        if let Some(listener) = self.0.listener.get() {
            listener.on_capacity_freed(self.0.slave);
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Permit({:016x})", self.0.slave)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::config::Rate;

    #[test]
    fn permits_are_given_up_to_the_capacity() {
        let calls = ActiveCalls::new(1, 2);
        let _one = calls.try_acquire().unwrap();
        let two = calls.try_acquire().unwrap();
        assert_eq!(calls.try_acquire().unwrap_err(), Busy::AtCapacity);
        assert!(!calls.has_capacity());
        drop(two);
        assert!(calls.has_capacity() && calls.try_acquire().is_ok());
    }

    #[test]
    fn the_capacity_holds_when_many_threads_compete() {
        let calls = ActiveCalls::new(1, 3);
        // All compete for the third permit: however few threads run at once, some of them get it.
        let permits = (calls.try_acquire().unwrap(), calls.try_acquire().unwrap());
        let highest = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = calls.try_acquire();
                        highest.fetch_max(calls.in_flight(), Ordering::Relaxed);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!((calls.in_flight(), highest.into_inner()), (2, 3));
        drop(permits);
        assert_eq!(calls.in_flight(), 0);
    }

    #[test]
    fn a_rate_limited_slave_returns_the_time_of_the_next_call() {
        let calls = ActiveCalls::new(1, 0);
        calls.set_rate_limit(Some(Arc::new(RateLimiter::new(Rate::parse("1/h:2").unwrap()))));
        let _two = (calls.try_acquire().unwrap(), calls.try_acquire().unwrap());
        let Err(Busy::RateLimited(until)) = calls.try_acquire() else { panic!("the third call in an hour") };
        assert!(until > Instant::now() + Duration::from_mins(50));
        assert_eq!(calls.in_flight(), 2);
        calls.set_rate_limit(None);
        assert!(calls.try_acquire().is_ok());
    }
}
