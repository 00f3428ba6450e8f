//! The count of one link's malformed answers: whether its slave goes on sending them. Must not know links, or what is wrong with an
//! answer.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Largest number of malformed answers within [`WINDOW`]; with one more the link is closed (docs/PROTOCOL.md, "Limits").
const MAX_BAD_ANSWERS: u32 = 100;

/// Time over which malformed answers are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Count of a link's malformed answers.
#[derive(Debug, Default)]
pub(super) struct BadAnswers {
    /// Begin of the window, and the answers since.
    window: Mutex<Option<(Instant, u32)>>,
}

impl BadAnswers {
    /// Counts one. Returns whether there were too many within the window.
    pub(super) fn record(&self, now: Instant) -> bool {
        let mut window = self.window.lock();
        let (begin, before) =
            window.filter(|(begin, _)| now.saturating_duration_since(*begin) < WINDOW).unwrap_or((now, 0));
        *window = Some((begin, before + 1));
        before + 1 > MAX_BAD_ANSWERS
    }

    /// Starts over: a new link is up.
    pub(super) fn forget(&self) {
        *self.window.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_within_the_window_are_too_many() {
        let (count, start) = (BadAnswers::default(), Instant::now());
        let too_many = |at: Duration| count.record(start + at);
        assert!((0..MAX_BAD_ANSWERS).all(|_| !too_many(Duration::ZERO)));
        assert!(too_many(WINDOW.mul_f32(0.99)));
        assert!(!too_many(WINDOW));
        assert!((1..MAX_BAD_ANSWERS).all(|_| !too_many(WINDOW)));
        assert!(too_many(WINDOW));
        count.forget();
        assert!(!too_many(WINDOW));
    }
}
