//! A timer that is set often and fires seldom. Must not know its purpose.

use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// A timer of one task. The timer is only moved to an earlier time, because setting it costs more than a needless
/// wake-up.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    /// Creates a timer that fires at this time.
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, sleep: Box::pin(sleep_until(at.into())) }
    }

    /// Makes the timer fire at `at` at the latest. Returns whether it has fired; if not, the task is woken when it
    /// fires.
    pub(crate) fn poll_at(&mut self, at: Instant, now: Instant, cx: &mut Context<'_>) -> bool {
        if at <= now {
            return true;
        }
        if at < self.at || self.at <= now {
            self.at = at;
            self.sleep.as_mut().reset(at.into());
        }
        self.sleep.as_mut().poll(cx).is_ready()
    }
}
