//! The framing of a response body: one JSON message, a JSON array, or server-sent events with keep-alive comments. Must
//! not know what the messages say.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Silence after which a stream of events sends a comment, so that no load balancer closes it as idle.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

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

/// Timer for the comments of a silent stream of events.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    sleep: Pin<Box<Sleep>>,
}

impl KeepAlive {
    /// Starts the interval anew.
    pub(super) fn reset(&mut self) {
        self.sleep.as_mut().reset(Instant::now() + KEEPALIVE_INTERVAL);
    }

    /// Completes after a whole interval of silence, and starts the next.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        self.reset();
        Poll::Ready(())
    }
}

impl Framing {
    /// Server-sent events, with the first comment due after one interval.
    pub(crate) fn events() -> Self {
        Self::Events(KeepAlive { sleep: Box::pin(sleep(KEEPALIVE_INTERVAL)) })
    }

    /// Whether messages are sent as server-sent events.
    pub(super) fn is_events(&self) -> bool {
        matches!(self, Self::Events(_))
    }
}
