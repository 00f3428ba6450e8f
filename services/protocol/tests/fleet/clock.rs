//! Virtual time and the events that are due. Must not know what events do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time at which an event is due, and a number that orders events of the same time.
pub(crate) type Due = (Duration, u64);

/// Clock that stands still between two events.
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

    /// Returns the time since the simulation began.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Returns the same as an `Instant`, of which only differences matter.
    pub(crate) fn instant(&self) -> Instant {
        self.start + self.now
    }

    /// Returns the time since the simulation began of an `Instant`.
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

    /// Returns the next event up to this time and sets the clock to its time.
    pub(crate) fn next(&mut self, until: Duration) -> Option<(Due, E)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= until)?;
        let (due, event) = entry.remove_entry();
        self.now = due.0;
        Some((due, event))
    }

    /// Puts an event off; events that were put off keep their order.
    pub(crate) fn put_off(&mut self, due: Due, until: Duration, event: E) {
        self.due.insert((until, due.1), event);
    }

    /// Sets the clock to a time until which nothing is due.
    pub(crate) fn pass_to(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }
}
