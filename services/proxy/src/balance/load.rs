//! How many calls a slave has under way, counted by guards, and how many and how fast it may have. Knows nothing of links.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use crate::limits::rate_limiter::Pace;

/// Hears of each place that comes free. Called while the slave's state is locked: must not call the slave.
pub(crate) trait Freed: Send + Sync {
    /// The slave with this key has one call less under way.
    fn freed(&self, slave: u64);
}

/// Why a slave takes no call now though it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// It has as many calls as its capacity allows.
    Full,
    /// Its rate limit allows the next call at this time.
    Until(Instant),
}

/// Calls under way at one slave, and how many it may have.
pub(crate) struct Load {
    slave: u64,
    in_flight: AtomicUsize,
    /// 0: no limit.
    capacity: usize,
    /// Its rate limit, if it has one.
    pace: ArcSwapOption<Pace>,
    freed: OnceLock<Arc<dyn Freed>>,
}

impl Load {
    /// Of the slave with this key. `capacity` 0: any number of calls.
    pub(crate) fn new(slave: u64, capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            slave,
            in_flight: AtomicUsize::new(0),
            capacity: capacity as usize,
            pace: ArcSwapOption::empty(),
            freed: OnceLock::new(),
        })
    }

    /// Tells `freed` of each place that comes free from now on. Only the first one is told.
    pub(crate) fn tell(&self, freed: &Arc<dyn Freed>) {
        self.freed.get_or_init(|| Arc::clone(freed));
    }

    /// The rate limit in force.
    pub(crate) fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.load_full()
    }

    /// Another rate limit, or none.
    pub(crate) fn set_pace(&self, pace: Option<Arc<Pace>>) {
        self.pace.store(pace);
    }

    /// Calls under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How many calls it takes at once; 0: no limit.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether its capacity has a place: one that comes free from now on is told to whoever began to wait before.
    pub(crate) fn has_room(&self) -> bool {
        self.capacity == 0 || self.in_flight.load(Ordering::SeqCst) < self.capacity
    }

    /// How heavy its calls are on a slave of this weight (percent), to be compared by [`Burden::is_less_than`].
    pub(crate) fn burden(&self, weight: u32) -> Burden {
        Burden { calls: self.in_flight() as u128, capacity: self.capacity as u128, weight: weight.into() }
    }

    /// One more call, until the guard is dropped. Never more than the capacity, whoever asks at the same time.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Result<InFlight, Turned> {
        if self.capacity == 0 {
            self.in_flight.fetch_add(1, Ordering::SeqCst);
        } else {
            let more = |calls| (calls < self.capacity).then_some(calls + 1);
            self.in_flight
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
                .map_err(|_| Turned::Full)?;
        }
        if let Some(until) = self.pace.load().as_ref().and_then(|pace| pace.take()) {
            // Nobody is told of this place: whoever waits for the slave waits for its limit.
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            return Err(Turned::Until(until));
        }
        Ok(InFlight(Arc::clone(self)))
    }
}

/// What a slave has to do, as a share of what it can.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burden {
    calls: u128,
    capacity: u128,
    weight: u128,
}

impl Burden {
    /// By calls for each weight; where both have a capacity, by the share of it in use for each weight.
    pub(crate) fn is_less_than(self, other: Self) -> bool {
        let (mine, others) = match (self.capacity, other.capacity) {
            (0, _) | (_, 0) => (1, 1),
            both => both,
        };
        // a/(ca·wa) < b/(cb·wb) without division.
        self.calls * others * other.weight < other.calls * mine * self.weight
    }
}

/// One call under way.
pub(crate) struct InFlight(Arc<Load>);

impl Drop for InFlight {
    fn drop(&mut self) {
        // In one order with the look of a call that begins to wait: one of the two sees the other.
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if let Some(freed) = self.0.freed.get() {
            freed.freed(self.0.slave);
        }
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InFlight({:016x})", self.0.slave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::rate::Rate;

    fn lighter(one: &Load, other: &Load) -> bool {
        one.burden(100).is_less_than(other.burden(100))
    }

    #[test]
    fn load_is_compared_by_share_of_capacity_and_weight() {
        let (small, big) = (Load::new(1, 2), Load::new(2, 10));
        let _one = small.try_enter().unwrap();
        let _four: Vec<_> = (0..4).map(|_| big.try_enter().unwrap()).collect();
        assert!(lighter(&big, &small), "4 of 10 against 1 of 2");
        assert!(!big.burden(50).is_less_than(small.burden(100)), "4 of 5 against 1 of 2");
        let two = small.try_enter().unwrap();
        assert_eq!(small.try_enter().unwrap_err(), Turned::Full);
        drop(two);
        assert!(small.try_enter().is_ok());
    }

    #[test]
    fn without_capacity_calls_count() {
        let (one, two) = (Load::new(1, 0), Load::new(2, 0));
        let _call = one.try_enter().unwrap();
        assert!(lighter(&two, &one) && !lighter(&one, &two));
        let _two: Vec<_> = (0..2).map(|_| two.try_enter().unwrap()).collect();
        assert!(two.burden(300).is_less_than(one.burden(100)), "2 for 300 against 1 for 100");
    }

    #[test]
    fn capacity_holds_against_many_at_once() {
        let load = Load::new(1, 3);
        // All compete for the third place: however few run at once, somebody gets it.
        let held = (load.try_enter().unwrap(), load.try_enter().unwrap());
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let place = load.try_enter();
                        most.fetch_max(load.in_flight(), Ordering::Relaxed);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!((load.in_flight(), most.into_inner()), (2, 3));
        drop(held);
        assert_eq!(load.in_flight(), 0);
    }

    #[test]
    fn a_limited_slave_says_when() {
        let load = Load::new(1, 0);
        load.set_pace(Some(Arc::new(Pace::new(Rate::parse("1/h:2").unwrap()))));
        let _two = (load.try_enter().unwrap(), load.try_enter().unwrap());
        let Err(Turned::Until(when)) = load.try_enter() else { panic!("the third call in an hour") };
        assert!(when > Instant::now() + std::time::Duration::from_mins(50));
        assert_eq!(load.in_flight(), 2);
        load.set_pace(None);
        assert!(load.try_enter().is_ok());
    }
}
