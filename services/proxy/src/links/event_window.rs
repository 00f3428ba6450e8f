//! The count of what a slave does within a time: whether it happens too often. Must not know what is counted.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time over which events are counted.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// Count of the events within [`WINDOW`], from the first of them on.
#[derive(Debug, Default)]
pub(super) struct EventWindow(Mutex<Option<Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    begin: Instant,
    events: u32,
}

impl EventWindow {
    /// Counts one. Returns the number of those within the window, this one included.
    pub(super) fn record(&self, now: Instant) -> u32 {
        let mut counted = self.0.lock();
        let before = counted.filter(|counted| counted.is_within(now));
        let next = before.map_or(Counted { begin: now, events: 1 }, |counted| Counted {
            events: counted.events.saturating_add(1),
            ..counted
        });
        *counted = Some(next);
        next.events
    }

    /// Returns the number of events within the window.
    pub(super) fn count(&self, now: Instant) -> u32 {
        self.0.lock().filter(|counted| counted.is_within(now)).map_or(0, |counted| counted.events)
    }

    /// Starts over.
    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }
}

impl Counted {
    fn is_within(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begin) < WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_count_until_the_window_of_the_first_is_over() {
        let (window, start) = (EventWindow::default(), Instant::now());
        assert_eq!(window.count(start), 0);
        for count in 1..=100 {
            assert_eq!((window.record(start), window.count(start)), (count, count));
        }
        let (late, over) = (start + WINDOW.mul_f32(0.99), start + WINDOW);
        assert_eq!((window.record(late), window.count(late), window.count(over)), (101, 101, 0));
        assert_eq!((window.record(over), window.count(over)), (1, 1), "a new window");
        window.forget();
        assert_eq!((window.count(over), window.record(over)), (0, 1));
    }
}
