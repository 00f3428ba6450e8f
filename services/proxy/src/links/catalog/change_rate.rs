//! Rate of the changes of one code's catalogs: some at once, then so many a minute. Must not know what changes.

use std::time::{Duration, Instant};

/// Parts of a slave's first catalog, for each link that the code may have, that need no share of the changes.
const FIRST_PARTS: f64 = 8.0;

/// Changes that are left, refilled over time.
#[derive(Debug, Default)]
struct Bucket {
    used: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// Takes one, or says when there will be one.
    fn take(&mut self, capacity: f64, per_minute: f64, now: Instant) -> Result<(), Instant> {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.used = (self.used - passed.as_secs_f64() * per_minute / 60.0).max(0.0);
        self.at = Some(now);
        let missing = self.used + 1.0 - capacity;
        if missing > 0.0 {
            return Err(now + Duration::from_secs_f64((missing * 60.0 / per_minute).clamp(0.001, 3600.0)));
        }
        self.used += 1.0;
        Ok(())
    }
}

/// Rate of one code's changes.
#[derive(Debug, Default)]
pub(super) struct ChangeRate {
    changes: Bucket,
    first_parts: Bucket,
}

impl ChangeRate {
    /// Takes one of the changes of this minute, or says when there will be one.
    pub(super) fn take_change(&mut self, per_minute: u32, now: Instant) -> Result<(), Instant> {
        self.changes.take(f64::from(per_minute), f64::from(per_minute), now)
    }

    /// Takes one of the parts that first catalogs may have, or says when there will be one. `links`: links that the code may
    /// have at once.
    pub(super) fn take_first_part(&mut self, links: u32, now: Instant) -> Result<(), Instant> {
        let links = f64::from(links);
        self.first_parts.take(FIRST_PARTS * links, links, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_changes_and_the_next_one_again() {
        let (mut rate, now) = (ChangeRate::default(), Instant::now());
        assert!((0..60).all(|_| rate.take_change(60, now).is_ok()));
        let next = rate.take_change(60, now).unwrap_err();
        assert_eq!((next - now).as_secs(), 1);
        assert!(rate.take_change(60, now + Duration::from_millis(500)).is_err());
        assert!(rate.take_change(60, next).is_ok() && rate.take_change(60, next).is_err());
        let later = now + Duration::from_mins(10);
        assert!((0..60).all(|_| rate.take_change(60, later).is_ok()) && rate.take_change(60, later).is_err());
        assert!(
            (0..80).all(|_| rate.take_first_part(10, now).is_ok()) && rate.take_first_part(10, now).is_err()
        );
    }
}
