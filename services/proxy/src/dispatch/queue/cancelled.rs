//! Cancellations of the last minutes, for calls that no slave has at that moment: they are told by nobody else. Knows
//! no call.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// Remembered at most; older ones are forgotten first.
const MOST: usize = 4096;

/// Longer than any call is without a slave.
const MEMORY: Duration = Duration::from_mins(10);

/// Who was cancelled, by a number that nobody outside can foresee, and when.
#[derive(Default)]
pub(super) struct Cancelled {
    numbers: RandomState,
    latest: Mutex<VecDeque<(u64, Instant)>>,
}

impl Cancelled {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Instant)>> {
        self.latest.lock()
    }

    /// The client of this session cancelled this request.
    pub(super) fn add(&self, (session, request_id): (&str, &str), now: Instant) {
        let number = self.numbers.hash_one((session, request_id));
        let mut latest = self.lock();
        while latest.len() >= MOST || latest.front().is_some_and(|(_, at)| now - *at > MEMORY) {
            latest.pop_front();
        }
        latest.push_back((number, now));
    }

    /// Whether it has done so since then.
    pub(super) fn has(&self, (session, request_id): (&str, &str), since: Instant) -> bool {
        let latest = self.lock();
        let mut recent = latest.iter().rev().take_while(|(_, at)| *at >= since).peekable();
        if recent.peek().is_none() {
            return false;
        }
        let number = self.numbers.hash_one((session, request_id));
        recent.any(|(known, _)| *known == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_counts_for_calls_of_before_and_is_forgotten_in_time() {
        let (cancelled, start) = (Cancelled::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        cancelled.add(("s", "1"), at(5));
        assert!(cancelled.has(("s", "1"), at(4)) && cancelled.has(("s", "1"), at(5)));
        assert!(!cancelled.has(("s", "1"), at(6)), "another call of the same name");
        assert!(!cancelled.has(("s", "2"), at(0)) && !cancelled.has(("t", "1"), at(0)));
        (0..MOST).for_each(|n| cancelled.add(("s", &format!("x{n}")), at(7)));
        assert!(!cancelled.has(("s", "1"), at(0)));
        cancelled.add(("s", "2"), at(8) + MEMORY);
        assert_eq!(cancelled.lock().len(), 1);
    }
}
