//! The rate at which a queue is served, to tell clients when to retry. Must not know calls.

use std::time::{Duration, Instant};

/// Time constant of the exponential decay.
const WINDOW: Duration = Duration::from_secs(10);

/// Longest time that a client is told to wait, in seconds.
const MAX_RETRY_AFTER: u32 = 60;

/// An exponentially decaying count of served calls.
#[derive(Debug)]
pub(super) struct ServiceRate {
    count: f64,
    updated: Instant,
    created: Instant,
}

impl ServiceRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { count: 0.0, updated: now, created: now }
    }

    /// Records that a call was served.
    pub(super) fn record_served(&mut self, now: Instant) {
        self.count = self.count(now) + 1.0;
        self.updated = now;
    }

    fn count(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.count * (-elapsed / WINDOW.as_secs_f64()).exp()
    }

    /// Returns the seconds until a call behind `waiting` others would be served, from 1 to 60; 60 also if none was served
    /// lately.
    pub(super) fn retry_after(&self, waiting: usize, now: Instant) -> u32 {
        // The count of a queue younger than the window covers only the queue's age.
        let age = now.saturating_duration_since(self.created).as_secs_f64() / WINDOW.as_secs_f64();
        let covered = WINDOW.as_secs_f64() * (1.0 - (-age).exp());
        let rate = self.count(now) / covered.max(0.1);
        let seconds = ((waiting + 1) as f64 / rate).ceil().clamp(1.0, f64::from(MAX_RETRY_AFTER));
        (1..MAX_RETRY_AFTER).find(|n| f64::from(*n) >= seconds).unwrap_or(MAX_RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_wait_is_the_length_of_the_queue_over_its_rate() {
        let start = Instant::now();
        let mut rate = ServiceRate::new(start);
        assert_eq!(rate.retry_after(5, start), 60, "nothing was served yet");
        // Ten a second for 20 s.
        let mut now = start;
        for _ in 0..200 {
            now += Duration::from_millis(100);
            rate.record_served(now);
        }
        for (waiting, low, high) in [(0, 1, 1), (99, 9, 12), (299, 27, 34), (100_000, 60, 60)] {
            let seconds = rate.retry_after(waiting, now);
            assert!((low..=high).contains(&seconds), "{waiting} waiting: {seconds} s");
        }
        assert_eq!(rate.retry_after(9, now + Duration::from_mins(5)), 60, "nothing is served any more");
    }

    #[test]
    fn the_rate_of_a_young_queue_covers_its_age_only() {
        let start = Instant::now();
        let mut rate = ServiceRate::new(start);
        for tenth in 1..=5 {
            rate.record_served(start + Duration::from_millis(tenth * 100));
        }
        let seconds = rate.retry_after(99, start + Duration::from_millis(500));
        assert!((9..=12).contains(&seconds), "{seconds}");
    }
}
