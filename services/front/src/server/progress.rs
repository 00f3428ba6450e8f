//! The progress of one connection: since when it waits for a request's head, for a next request, for the client to take
//! what was written, or for the rest of what the client sends; and what the bytes of the next head were. Must not know HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::limits::{HEADER_TIMEOUT, IDLE_TIMEOUT, LINGER_IDLE, LINGER_TIMEOUT, TOTAL_GRACE};
use super::raw_head::{Length, RawHead};

/// What a connection was closed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The head of a request did not arrive in time.
    Head,
    /// No further request came.
    Idle,
    /// The client took nothing of what was written.
    Stalled,
    /// The client did not end what it sends after the connection was closed towards it.
    Lingered,
}

/// The progress of one connection, shared by its stream, its requests and its timer, all in one task. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stall: Duration,
    /// Whether the stream keeps nothing back of what was written.
    is_flushed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    reading: Reading,
    /// Since when the stream takes no bytes.
    blocked: Option<Instant>,
    /// Whether the client may still send something of a request that is answered.
    unread: bool,
    /// The head of the next request.
    head: RawHead,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    /// Part of a head may have arrived.
    Head(Instant),
    /// A request is being answered.
    Request {
        since: Instant,
        /// Longest time from the head to the end of the response; `None`: none.
        limit: Option<Duration>,
    },
    /// The last response is complete.
    Idle(Instant),
    /// The connection is closed towards the client; what it still sends is read and dropped.
    Lingering { since: Instant, last: Instant },
}

impl Progress {
    /// A new connection, which is to send a request's head now. `stall` is the time for which a client may take nothing.
    pub(super) fn new(stall: Duration) -> Self {
        let state = State {
            reading: Reading::Head(Instant::now()),
            blocked: None,
            unread: false,
            head: RawHead::default(),
        };
        Self(Arc::new(Shared { stall, is_flushed: AtomicBool::new(true), state: Mutex::new(state) }))
    }

    /// Returns the time for which a client may take nothing.
    pub(super) fn stall(&self) -> Duration {
        self.0.stall
    }

    /// Bytes arrived.
    pub(super) fn on_read(&self, bytes: &[u8]) {
        let mut state = self.0.state.lock();
        // What comes while a request is under way may be its body.
        if matches!(state.reading, Reading::Idle(_) | Reading::Head(_)) && !state.unread {
            state.head.read(bytes);
        }
        match &mut state.reading {
            Reading::Idle(_) => state.reading = Reading::Head(Instant::now()),
            Reading::Lingering { last, .. } => *last = Instant::now(),
            Reading::Head(_) | Reading::Request { .. } => {}
        }
    }

    /// All that was written is on its way (`true`), or there may be more.
    pub(super) fn set_flushed(&self, is_flushed: bool) {
        self.0.is_flushed.store(is_flushed, Ordering::Relaxed);
    }

    /// Whether all that was written is on its way.
    pub(super) fn is_flushed(&self) -> bool {
        self.0.is_flushed.load(Ordering::Relaxed)
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

    /// A head is complete: the request lasts until the guard is dropped. `limit` is the longest time for the request and its
    /// response, in which a client that does not read holds them.
    pub(super) fn begin_request(&self, limit: Option<Duration>) -> RequestGuard {
        let mut state = self.0.state.lock();
        state.reading = Reading::Request { since: Instant::now(), limit };
        state.unread = false;
        let length = std::mem::take(&mut state.head).length();
        drop(state);
        RequestGuard { progress: self.clone(), length, is_last: false }
    }

    /// Whether no request is under way.
    pub(super) fn awaits_head(&self) -> bool {
        !matches!(self.0.state.lock().reading, Reading::Request { .. })
    }

    /// Something of a request was not read yet.
    pub(super) fn set_unread(&self) {
        self.0.state.lock().unread = true;
    }

    /// The request was read to its end.
    pub(super) fn set_read(&self) {
        self.0.state.lock().unread = false;
    }

    /// Whether something of the last request was not read.
    pub(super) fn is_unread(&self) -> bool {
        self.0.state.lock().unread
    }

    /// The connection is closed towards the client, whose rest is read from now on.
    pub(super) fn begin_lingering(&self) {
        let now = Instant::now();
        self.0.state.lock().reading = Reading::Lingering { since: now, last: now };
    }

    /// Returns when the connection is to be closed, and for what, unless there is progress before.
    pub(super) fn deadline(&self) -> Option<(Instant, Overdue)> {
        let State { reading, blocked, .. } = *self.0.state.lock();
        let mut write_by = blocked.map(|since| since + self.0.stall);
        let reading = match reading {
            Reading::Head(since) => Some((since + HEADER_TIMEOUT, Overdue::Head)),
            Reading::Idle(since) => Some((since + IDLE_TIMEOUT, Overdue::Idle)),
            Reading::Lingering { since, last } => {
                return Some(((since + LINGER_TIMEOUT).min(last + LINGER_IDLE), Overdue::Lingered));
            }
            Reading::Request { since, limit } => {
                let end = limit.map(|limit| since + limit + TOTAL_GRACE);
                write_by = write_by.map(|by| end.map_or(by, |end| by.min(end)));
                None
            }
        };
        let writing = write_by.map(|by| (by, Overdue::Stalled));
        match (reading, writing) {
            (Some(reading), Some(writing)) => Some(if writing.0 < reading.0 { writing } else { reading }),
            (reading, writing) => reading.or(writing),
        }
    }
}

/// One request of a connection, until its response is complete or given up.
#[derive(Debug)]
pub(super) struct RequestGuard {
    progress: Progress,
    length: Length,
    /// Whether the connection ends with the response.
    is_last: bool,
}

impl RequestGuard {
    /// Returns whether the head of the request had a Content-Length.
    pub(super) fn length(&self) -> Length {
        self.length
    }

    /// The connection ends with the response.
    pub(super) fn set_last(&mut self) {
        self.is_last = true;
    }

    /// Whether the connection ends with the response, as was decided or since something of the request was not read.
    pub(super) fn is_last(&self) -> bool {
        self.is_last || self.progress.is_unread()
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.progress.0.state.lock();
        if matches!(state.reading, Reading::Request { .. }) {
            state.reading = Reading::Idle(Instant::now());
        }
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
        progress.on_read(b"P");
        assert_eq!(due(&progress, start), Some((10, Overdue::Head)), "a trickle of bytes changes nothing");
        let request = progress.begin_request(None);
        progress.on_read(b"P");
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
        progress.on_read(b"P");
        assert_eq!(due(&progress, start), Some((16, Overdue::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_reads_ends_soon_after_its_longest_time() {
        let progress = Progress::new(STALL);
        let start = Instant::now();
        let request = progress.begin_request(Some(Duration::from_secs(5)));
        assert_eq!(due(&progress, start), None, "the call has a timer of its own");
        tokio::time::advance(Duration::from_secs(4)).await;
        progress.on_blocked();
        assert_eq!(due(&progress, start), Some((5 + TOTAL_GRACE.as_secs(), Overdue::Stalled)));
        progress.on_written();
        assert_eq!(due(&progress, start), None);
        drop(request);
        let _long = progress.begin_request(Some(Duration::from_hours(1)));
        progress.on_blocked();
        assert_eq!(due(&progress, start), Some((64, Overdue::Stalled)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_is_read_for_a_while_and_as_long_as_something_comes() {
        let progress = Progress::new(STALL);
        let start = Instant::now();
        let request = progress.begin_request(None);
        progress.set_unread();
        assert!(progress.is_unread());
        progress.begin_lingering();
        drop(request);
        assert_eq!(due(&progress, start), Some((LINGER_IDLE.as_secs(), Overdue::Lingered)));
        for _ in 0..LINGER_TIMEOUT.as_secs() {
            tokio::time::advance(Duration::from_secs(1)).await;
            progress.on_read(b"P");
        }
        assert_eq!(due(&progress, start), Some((LINGER_TIMEOUT.as_secs(), Overdue::Lingered)));
    }
}
