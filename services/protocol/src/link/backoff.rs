//! Full-jitter exponential backoff. Knows neither clock nor random source: both are arguments.
//!
//! DESIGN.md §5 "Reconnect": starts under 1 s, the document's 5 s is the default cap, reset after a stable period.

use std::time::Duration;

/// Waiting times between attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait is uniform in `0..base`, each later one in twice the range, up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base: base.min(cap), cap, failures: 0 }
    }

    /// The wait before the next attempt; `random` is uniform over all of `u64`.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1u32.checked_shl(self.failures.min(30)).unwrap_or(u32::MAX))
            .min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(u64::try_from((u128::from(nanos) * u128::from(random)) >> 64).unwrap_or(nanos))
    }

    /// The last attempt held for the stable period: start over.
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
