//! The budget of lines: how many are admitted in each second. The time is an argument. Must not know what is admitted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Bits of the state that hold the number of admitted lines.
const USED_BITS: u32 = 24;

/// A budget of so many a second. The seconds are counted from its making, so that any number of threads agree on them.
#[derive(Debug)]
pub struct Budget {
    per_second: u64,
    origin: Instant,
    /// The second and the number admitted in it, in one word.
    state: AtomicU64,
}

impl Budget {
    /// A budget whose seconds begin at `origin`.
    pub fn new(per_second: u32, origin: Instant) -> Self {
        let per_second = u64::from(per_second).min((1 << USED_BITS) - 1);
        Self { per_second, origin, state: AtomicU64::new(0) }
    }

    /// Admits one at `now`, if the second has room. Beyond the budget it costs one atomic read. A time before the second
    /// that another thread has begun counts as that second.
    pub fn admit(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.origin).as_secs();
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let used = state & ((1 << USED_BITS) - 1);
            let next = if state >> USED_BITS < second {
                (second << USED_BITS) + u64::from(self.per_second > 0)
            } else if used < self.per_second {
                state + 1
            } else {
                return false;
            };
            match self.state.compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.per_second > 0,
                Err(current) => state = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_budget_and_no_more() {
        let origin = Instant::now();
        let budget = Budget::new(5, origin);
        for second in [0_u64, 1, 2, 7, 3600, 86_400 * 365] {
            let at = origin + Duration::from_secs(second);
            let admitted = (0..1000).filter(|n| budget.admit(at + Duration::from_micros(n * 999))).count();
            assert_eq!(admitted, 5, "second {second}");
        }
    }

    #[test]
    fn rare_calls_are_all_admitted() {
        let origin = Instant::now();
        let budget = Budget::new(5, origin);
        assert!((0..100_u32).all(|n| budget.admit(origin + Duration::from_millis(200) * n)));
    }

    #[test]
    fn a_time_that_goes_back_opens_no_second_budget() {
        let origin = Instant::now();
        let budget = Budget::new(2, origin + Duration::from_secs(10));
        let late = origin + Duration::from_secs(11);
        assert!(budget.admit(late) && budget.admit(origin));
        assert!(!budget.admit(origin) && !budget.admit(late));
    }

    #[test]
    fn threads_share_one_budget() {
        let origin = Instant::now();
        let budget = Budget::new(7, origin);
        let admitted: usize = std::thread::scope(|scope| {
            let count = || (0..500).filter(|_| budget.admit(origin)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 7);
        assert!((0..9).all(|_| !Budget::new(0, origin).admit(origin)));
    }
}
