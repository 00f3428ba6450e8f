//! The credit window of one call and direction, as its reader grants it. It grows where round trips hold the writer up, so that a result
//! takes the time of its bytes and not of one round trip for each window. Must not know links or journals.

use std::time::{Duration, Instant};

use crate::link::limits::MAX_CHUNKS_UNDER_WAY;

/// Most times that a window is doubled: from 128 KiB to 4 MiB.
pub const MAX_DOUBLINGS: u16 = 5;

/// Doublings with which the windows of a call over a long way begin: 1 MiB, so that most results take one round trip.
pub const FAR_DOUBLINGS: u16 = 3;

/// Calls of one slave under way from which on another one begins with the first window over a long way, too.
pub const MAX_FAR_CALLS: usize = 16;

/// Shortest round trip for which windows grow: within a shorter one the first window passes 64 MB/s and more, and larger ones only delay
/// the small calls beside it.
pub const LONG_TRIP: Duration = Duration::from_millis(2);

/// Most bytes that a proxy grants to all calls of one slave beyond their first windows: what readers that stop may make it keep.
pub const MAX_GRANTED: usize = 16 * 1024 * 1024;

/// Returns a window after so many doublings, at most [`MAX_DOUBLINGS`]: a peer may use less than it was granted.
pub fn doubled(window: usize, doublings: u16) -> usize {
    window.saturating_mul(1 << doublings.min(MAX_DOUBLINGS))
}

/// What a reader grants its writer.
#[derive(Debug)]
pub struct GrantedWindow {
    /// In bytes, as announced in the hello.
    first: usize,
    doublings: u16,
    /// When the window was looked at last, and bytes taken since.
    since: Option<Instant>,
    taken: usize,
}

impl GrantedWindow {
    /// Makes the window of a new call, in bytes.
    pub fn new(first: usize) -> Self {
        Self { first, doublings: 0, since: None, taken: 0 }
    }

    /// Grants what a call over a long way begins with.
    pub fn begin_far(&mut self) {
        self.doublings = FAR_DOUBLINGS;
    }

    /// Returns the bytes that may be unacknowledged.
    pub fn bytes(&self) -> usize {
        doubled(self.first, self.doublings)
    }

    /// Returns the bytes beyond the first window.
    pub fn granted(&self) -> usize {
        self.bytes() - self.first
    }

    /// Returns whether so many bytes or chunks were taken since the last credit that the writer must be told: it may wait with a chunk of the
    /// largest size.
    pub fn owes_credit(&self, bytes: usize, chunks: u64) -> bool {
        bytes >= self.bytes() / 8 || chunks >= MAX_CHUNKS_UNDER_WAY / 4
    }

    /// Returns how often the window was doubled: the `aux` of each `credit`.
    pub fn doublings(&self) -> u16 {
        self.doublings
    }

    /// Records that the reader took so many bytes, of which it now has `unread` left, and that the shortest round trip of the link is `trip`.
    /// Returns whether a larger window would help: one was taken as fast as round trips let its chunks come, and the reader waits for more.
    pub fn is_short(&mut self, taken: usize, unread: usize, trip: Option<Duration>, now: Instant) -> bool {
        let Some(trip) = trip.filter(|trip| *trip >= LONG_TRIP && self.doublings < MAX_DOUBLINGS) else {
            return false;
        };
        let Some(since) = self.since else {
            self.since = Some(now);
            return false;
        };
        self.taken += taken;
        if self.taken < self.bytes() {
            return false;
        }
        let quick = now.saturating_duration_since(since) <= trip * 2;
        if quick && unread > self.bytes() / 4 {
            // Chunks come together: the reader may be about to take the others.
            return false;
        }
        self.taken = 0;
        self.since = Some(now);
        quick
    }

    /// Doubles the window.
    pub fn grow(&mut self) {
        self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(40);

    /// Returns the window after so many credits of a quarter of it, one each `step`.
    fn after(
        credits: u32,
        trip: Option<Duration>,
        step: impl Fn(&GrantedWindow) -> Duration,
    ) -> GrantedWindow {
        let (mut window, mut now) = (GrantedWindow::new(1000), Instant::now());
        for _ in 0..credits {
            now += step(&window);
            if window.is_short(window.bytes() / 4, 0, trip, now) {
                window.grow();
            }
        }
        window
    }

    #[test]
    fn a_window_that_each_round_trip_uses_up_doubles_up_to_the_most() {
        let quarter = |_: &GrantedWindow| TRIP / 4;
        assert_eq!(after(4, Some(TRIP), quarter).bytes(), 1000, "the first credit starts the clock");
        assert_eq!(after(5, Some(TRIP), quarter).bytes(), 2000);
        assert_eq!(after(9, Some(TRIP), quarter).bytes(), 4000);
        let most = after(100, Some(TRIP), quarter);
        assert_eq!((most.bytes(), most.doublings(), most.granted()), (32_000, MAX_DOUBLINGS, 31_000));
    }

    #[test]
    fn nothing_grows_on_a_short_way_or_for_a_slow_writer_or_reader() {
        let quarter = |_: &GrantedWindow| TRIP / 4;
        assert_eq!(after(100, None, quarter).bytes(), 1000);
        assert_eq!(after(100, Some(LONG_TRIP / 2), |_| Duration::ZERO).bytes(), 1000);
        assert_eq!(after(100, Some(TRIP), |_| TRIP).bytes(), 1000);
        // 1000 bytes a round trip: what the way carries, not what the window lets through.
        let carried =
            after(100, Some(TRIP), |window| TRIP * u32::try_from(window.bytes() / 4).unwrap() / 1000);
        assert_eq!(carried.bytes(), 4000);
    }

    #[test]
    fn what_the_reader_has_not_taken_yet_puts_growth_off_and_for_long_prevents_it() {
        let (mut window, start) = (GrantedWindow::new(1000), Instant::now());
        assert!(!window.is_short(500, 500, Some(TRIP), start));
        assert!(!window.is_short(1000, 500, Some(TRIP), start + TRIP));
        assert!(window.is_short(500, 0, Some(TRIP), start + TRIP));
        assert!(!window.is_short(1000, 500, Some(TRIP), start + TRIP * 2));
        assert!(!window.is_short(500, 0, Some(TRIP), start + TRIP * 4));
    }

    #[test]
    fn a_writer_takes_no_more_than_the_most() {
        assert_eq!(doubled(1000, u16::MAX), 32_000);
        assert_eq!(doubled(usize::MAX, 1), usize::MAX);
    }
}
