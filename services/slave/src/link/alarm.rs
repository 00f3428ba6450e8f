//! One timer that is set often and goes off seldom. Must not know what for.

use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Setting a timer costs more than letting it go off in vain, so it is only ever set to an earlier time.
pub(crate) struct Alarm {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Goes off at this time.
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, sleep: Box::pin(sleep_until(at.into())) }
    }

    /// Goes off at this time at the latest.
    pub(crate) fn no_later_than(&mut self, at: Instant) {
        if at < self.at {
            self.set(at);
        }
    }

    /// Goes off at this time and not before.
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        self.sleep.as_mut().reset(at.into());
    }

    /// Waits for it. Cancel safe; once it went off it must be set again.
    pub(crate) async fn gone_off(&mut self) {
        self.sleep.as_mut().await;
    }
}
