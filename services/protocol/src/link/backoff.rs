//! Full-jitter exponential backoff (docs/PROTOCOL.md, "Close codes"). Must not know clock or random source: both are arguments.

use std::time::Duration;

/// Waiting times between attempts, each uniform in a range that doubles up to a cap.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Makes a backoff whose first wait is uniform in `0..base`; the range doubles with each attempt, up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base: base.min(cap), cap, failures: 0 }
    }

    /// Returns the wait before the next attempt; `random` is uniform over all of `u64`.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1u32.checked_shl(self.failures.min(30)).unwrap_or(u32::MAX))
            .min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(u64::try_from((u128::from(nanos) * u128::from(random)) >> 64).unwrap_or(nanos))
    }

    /// Starts over with the first range: the last attempt held.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_double_up_to_the_cap_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
        let highest: Vec<u128> = (0..6).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(highest, [499, 999, 1999, 3999, 4999, 4999]);
        assert_eq!(backoff.next(0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 499);
    }
}
