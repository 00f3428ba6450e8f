//! Virtual time and what is due in it. Knows nothing of what happens then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When something is due; the number keeps the order of what is due at once.
pub(crate) type Due = (Duration, u64);

/// Time stands still between two events.
pub(crate) struct Clock<E> {
    start: Instant,
    now: Duration,
    last: u64,
    due: BTreeMap<Due, E>,
}

impl<E> Clock<E> {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), now: Duration::ZERO, last: 0, due: BTreeMap::new() }
    }

    /// Time since the simulation began.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// The same as the ends of a link want it: only differences count.
    pub(crate) fn instant(&self) -> Instant {
        self.start + self.now
    }

    /// The other way round.
    pub(crate) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    pub(crate) fn at(&mut self, time: Duration, event: E) {
        self.last += 1;
        self.due.insert((time.max(self.now), self.last), event);
    }

    pub(crate) fn after(&mut self, wait: Duration, event: E) {
        self.at(self.now + wait, event);
    }

    /// The next event up to this time; the clock goes on to it.
    pub(crate) fn next(&mut self, until: Duration) -> Option<(Due, E)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= until)?;
        let (due, event) = entry.remove_entry();
        self.now = due.0;
        Some((due, event))
    }

    /// An event that cannot happen yet: what came before another still does so at the later time.
    pub(crate) fn put_off(&mut self, due: Due, until: Duration, event: E) {
        self.due.insert((until, due.1), event);
    }

    /// Nothing was due any more until then.
    pub(crate) fn pass_to(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }
}
