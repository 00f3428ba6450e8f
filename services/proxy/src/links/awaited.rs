//! Until when a slave whose link is down is awaited. Until it is back or its time is over, clients see what it offers, and calls that only it
//! can take wait. Must not know slaves.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Longest time for which a slave is awaited, where `LINK_GRACE` is not shorter: the existing slave dials again after 5 s, ours after less
/// than a second.
const MAX_AWAIT: Duration = Duration::from_secs(6);

/// The end of the time for which a slave is awaited; none at first.
#[derive(Default)]
pub(super) struct Awaited(Mutex<Option<Instant>>);

impl Awaited {
    /// Begins the time, which is no longer than `grace`.
    pub(super) fn begin(&self, grace: Duration, now: Instant) {
        *self.0.lock() = Some(now + grace.min(MAX_AWAIT)).filter(|until| now < *until);
    }

    /// Ends the time: the slave is back, gone for good, or not wanted.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }

    /// Returns the end of the time, unless it is over.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.0.lock().filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_grace_within_bounds() {
        let (awaited, now) = (Awaited::default(), Instant::now());
        assert_eq!(awaited.until(now), None);
        for (grace, expected) in [(0, None), (2, Some(2)), (600, Some(6))] {
            awaited.begin(Duration::from_secs(grace), now);
            let expected = expected.map(|seconds| now + Duration::from_secs(seconds));
            assert_eq!(awaited.until(now), expected);
            assert_eq!(expected.and_then(|until| awaited.until(until)), None, "it is over");
        }
        awaited.end();
        assert_eq!(awaited.until(now), None);
    }
}
