//! The framing of a response body: one JSON message, a JSON array, or server-sent events with keep-alive comments. Must
//! not know what the messages say.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Bytes that stand around and between the messages of a body.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Single JSON message.
    Json,
    /// JSON array of messages.
    JsonArray {
        /// Messages begun so far.
        begun: usize,
    },
    /// Server-sent events.
    Events(KeepAlive),
}

/// Timer for the comments of a silent stream of events, so that no load balancer closes it as idle.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    interval: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl KeepAlive {
    /// Starts the interval anew.
    pub(super) fn reset(&mut self) {
        let next = Instant::now() + self.interval;
        self.sleep.as_mut().reset(next);
    }

    /// Completes after a whole interval of silence, and starts the next.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        self.reset();
        Poll::Ready(())
    }
}

impl Framing {
    /// Server-sent events, with a comment after each of these intervals of silence.
    pub(crate) fn events(interval: Duration) -> Self {
        Self::Events(KeepAlive { interval, sleep: Box::pin(sleep(interval)) })
    }

    /// Whether messages are sent as server-sent events.
    pub(super) fn is_events(&self) -> bool {
        matches!(self, Self::Events(_))
    }
}
