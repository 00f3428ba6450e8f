//! How fast a queue drains, for telling clients when to come back. Knows no calls.

use std::time::{Duration, Instant};

/// Over about how long the rate is taken.
const WINDOW: Duration = Duration::from_secs(10);

/// Longest that anybody is told to wait, in seconds.
const MOST: u32 = 60;

/// An exponentially decaying count of served calls.
#[derive(Debug)]
pub(super) struct Drain {
    count: f64,
    at: Instant,
    since: Instant,
}

impl Drain {
    pub(super) fn new(now: Instant) -> Self {
        Self { count: 0.0, at: now, since: now }
    }

    /// A call was served.
    pub(super) fn served(&mut self, now: Instant) {
        self.count = self.count(now) + 1.0;
        self.at = now;
    }

    fn count(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.count * (-elapsed / WINDOW.as_secs_f64()).exp()
    }

    /// Seconds until a newcomer behind `waiting` calls would be served, 1 to 60; 60 too when none was served lately.
    pub(super) fn seconds(&self, waiting: usize, now: Instant) -> u32 {
        // A queue that is younger than the window has not seen all of it.
        let age = now.saturating_duration_since(self.since).as_secs_f64() / WINDOW.as_secs_f64();
        let seen = WINDOW.as_secs_f64() * (1.0 - (-age).exp());
        let rate = self.count(now) / seen.max(0.1);
        let seconds = ((waiting + 1) as f64 / rate).ceil().clamp(1.0, f64::from(MOST));
        // Within 1 to 60 by the line above.
        (1..MOST).find(|n| f64::from(*n) >= seconds).unwrap_or(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_wait_is_the_queue_over_its_rate() {
        let start = Instant::now();
        let mut drain = Drain::new(start);
        assert_eq!(drain.seconds(5, start), 60, "nothing was served yet");
        // Ten a second for 20 s.
        let mut now = start;
        for _ in 0..200 {
            now += Duration::from_millis(100);
            drain.served(now);
        }
        for (waiting, low, high) in [(0, 1, 1), (99, 9, 12), (299, 27, 34), (100_000, 60, 60)] {
            let seconds = drain.seconds(waiting, now);
            assert!((low..=high).contains(&seconds), "{waiting} waiting: {seconds} s");
        }
        assert_eq!(drain.seconds(9, now + Duration::from_mins(5)), 60, "it has stopped");
    }

    #[test]
    fn a_young_queue_is_judged_by_what_it_has_seen() {
        let start = Instant::now();
        let mut drain = Drain::new(start);
        for tenth in 1..=5 {
            drain.served(start + Duration::from_millis(tenth * 100));
        }
        let seconds = drain.seconds(99, start + Duration::from_millis(500));
        assert!((9..=12).contains(&seconds), "{seconds}");
    }
}
