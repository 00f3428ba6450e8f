//! The progress of one connection: since when it waits for a request's head, for a next request, or for the client to
//! take what was written. Must not know HTTP.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::limits::{HEADER_TIMEOUT, IDLE_TIMEOUT};

/// What a connection was closed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request did not arrive in time.
    Head,
    /// No further request came.
    Idle,
    /// The client took nothing of what was written.
    Stalled,
}

/// The progress of one connection, shared by its stream, its requests and its timer, all in one task. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stall: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    reading: Reading,
    /// Since when the stream takes no bytes.
    blocked: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    /// Part of a head may have arrived.
    Head(Instant),
    /// A request is being answered.
    Request,
    /// The last response is complete.
    Idle(Instant),
}

impl Progress {
    /// A new connection, which is to send a request's head now. `stall` is the time for which a client may take nothing.
    pub(super) fn new(stall: Duration) -> Self {
        let state = State { reading: Reading::Head(Instant::now()), blocked: None };
        Self(Arc::new(Shared { stall, state: Mutex::new(state) }))
    }

    /// Bytes arrived.
    pub(super) fn on_read(&self) {
        let mut state = self.0.state.lock();
        if matches!(state.reading, Reading::Idle(_)) {
            state.reading = Reading::Head(Instant::now());
        }
    }

    /// Bytes were taken.
    pub(super) fn on_written(&self) {
        self.0.state.lock().blocked = None;
    }

    /// The stream takes no bytes at the moment.
    pub(super) fn on_blocked(&self) {
        let mut state = self.0.state.lock();
        if state.blocked.is_none() {
            state.blocked = Some(Instant::now());
        }
    }

    /// A head is complete: the request lasts until the guard is dropped.
    pub(super) fn begin_request(&self) -> RequestGuard {
        self.0.state.lock().reading = Reading::Request;
        RequestGuard(self.clone())
    }

    /// Returns when the connection is to be closed, and for what, unless there is progress before.
    pub(super) fn deadline(&self) -> Option<(Instant, Overdue)> {
        let State { reading, blocked } = *self.0.state.lock();
        let reading = match reading {
            Reading::Head(since) => Some((since + HEADER_TIMEOUT, Overdue::Head)),
            Reading::Idle(since) => Some((since + IDLE_TIMEOUT, Overdue::Idle)),
            Reading::Request => None,
        };
        let writing = blocked.map(|since| (since + self.0.stall, Overdue::Stalled));
        match (reading, writing) {
            (Some(reading), Some(writing)) => Some(if writing.0 < reading.0 { writing } else { reading }),
            (reading, writing) => reading.or(writing),
        }
    }
}

/// One request of a connection, until its response is complete or given up.
#[derive(Debug)]
pub(super) struct RequestGuard(Progress);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.state.lock().reading = Reading::Idle(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_mins(1);

    fn due(progress: &Progress, now: Instant) -> Option<(u64, Overdue)> {
        progress.deadline().map(|(at, why)| ((at - now).as_secs(), why))
    }

    #[tokio::test(start_paused = true)]
    async fn heads_idle_connections_and_stalls_have_deadlines_and_requests_have_none() {
        let progress = Progress::new(STALL);
        let start = Instant::now();
        assert_eq!(due(&progress, start), Some((10, Overdue::Head)));
        tokio::time::advance(Duration::from_secs(3)).await;
        progress.on_read();
        assert_eq!(due(&progress, start), Some((10, Overdue::Head)), "a trickle of bytes changes nothing");
        let request = progress.begin_request();
        progress.on_read();
        assert_eq!(due(&progress, start), None, "a body has limits of its own");
        progress.on_blocked();
        tokio::time::advance(Duration::from_secs(3)).await;
        progress.on_blocked();
        assert_eq!(due(&progress, start), Some((63, Overdue::Stalled)));
        progress.on_written();
        assert_eq!(due(&progress, start), None);
        drop(request);
        assert_eq!(due(&progress, start), Some((126, Overdue::Idle)));
        progress.on_blocked();
        assert_eq!(
            due(&progress, start),
            Some((66, Overdue::Stalled)),
            "the end of the response is not taken"
        );
        progress.on_read();
        assert_eq!(due(&progress, start), Some((16, Overdue::Head)));
    }
}
