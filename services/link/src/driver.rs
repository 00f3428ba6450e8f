//! The task of one link, for both ends and both dialects: passes received messages to the end's state machine, writes
//! the messages that it produces, and keeps the link alive. Must not know what the messages mean.
//!
//! The task is one future without inner tasks. A writer that waits for the socket never keeps the reader from reading.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::end::LinkEnd;
use crate::keepalive::{KeepAlive, KeepAliveConfig};
use crate::message::Message;

/// Largest number of messages that are read before the next write.
const MAX_BURST: usize = 32;

/// Largest number of bytes that are read before the next write.
const MAX_BURST_BYTES: usize = 128 * 1024;

/// Shortest time between two checks of the end's timers while the peer does not read.
const BLOCKED_INTERVAL: Duration = Duration::from_millis(100);

/// The future that runs one link. Its output is the reason for the end of the link. Dropping the future drops the
/// connection.
pub struct LinkDriver<S, E: LinkEnd> {
    connection: Connection<S>,
    end: E,
    keepalive: KeepAlive,
    interval: Duration,
    shrink_at: Instant,
    deadline: Deadline,
    /// The reason for a failed write, which is kept until all input is read: the peer's last messages may contain a
    /// better one.
    write_failed: Option<E::Stop>,
    /// Whether other tasks have run since the last write, so that their messages go out in one batch.
    gathered: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin, E: LinkEnd> LinkDriver<S, E> {
    /// Creates the driver of `connection` for `end`.
    pub fn new(connection: Connection<S>, end: E, config: KeepAliveConfig) -> Self {
        let now = Instant::now();
        Self {
            connection,
            end,
            keepalive: KeepAlive::new(config, now),
            interval: config.interval,
            shrink_at: now + config.interval,
            deadline: Deadline::new(now),
            write_failed: None,
            gathered: false,
        }
    }

    /// Returns the connection, which is still to be closed, and the end.
    pub fn into_parts(self) -> (Connection<S>, E) {
        (self.connection, self.end)
    }

    /// Reads available messages, up to a burst. `Ready(Ok(()))`: there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), E::Stop>> {
        let mut bytes = 0;
        for count in 0..MAX_BURST {
            let message = match self.connection.poll_recv(cx) {
                Poll::Ready(Ok(message)) => message,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.end.on_error(error))),
                Poll::Pending if count == 0 => return Poll::Pending,
                Poll::Pending => {
                    self.end.on_read(now)?;
                    return Poll::Pending;
                }
            };
            bytes += self.take(message, now)?;
            if bytes >= MAX_BURST_BYTES {
                break;
            }
        }
        Poll::Ready(self.end.on_read(now))
    }

    /// Passes a message to the end. Returns its length in bytes.
    fn take(&mut self, message: Message, now: Instant) -> Result<usize, E::Stop> {
        let len = match message {
            Message::Binary(batch) => {
                let len = batch.len();
                self.end.on_binary(batch, now)?;
                len
            }
            Message::Text(text) => {
                let len = text.len();
                self.end.on_text(text, now)?;
                len
            }
            Message::Pong(payload) => {
                let answered = self.keepalive.trips.on_pong(&payload, now);
                self.end.on_round_trip(&self.keepalive.trips, answered, now);
                self.end.on_pong(&payload, now)?;
                payload.len()
            }
            Message::Ping(payload) => payload.len(),
            Message::Close(frame) => {
                self.end.on_read(now)?;
                return Err(self.end.on_close(frame));
            }
        };
        Ok(len)
    }

    /// Writes until there is nothing more to send (`Ready`) or the socket accepts no more (`Pending`).
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), E::Stop>> {
        let mut more = true;
        loop {
            if !self.connection.outgoing().is_empty()
                && let Err(error) = ready!(self.connection.poll_flush(cx))
            {
                self.write_failed = Some(self.end.on_error(error));
                return Poll::Pending;
            }
            if !more {
                return Poll::Ready(Ok(()));
            }
            more = self.end.transmit(self.connection.outgoing(), now)?;
            if self.end.expects_answers() && !self.connection.outgoing().is_empty() {
                self.keepalive.on_sent(now);
            }
        }
    }

    /// Checks all timers. Returns whether one is due already.
    fn poll_timers(&mut self, cx: &mut Context<'_>, now: Instant, blocked: bool) -> Result<bool, E::Stop> {
        let tick = match self.keepalive.poll(now, self.connection.outgoing()) {
            Ok(tick) => tick,
            Err(silence) => return Err(self.end.on_silence(silence)),
        };
        if tick.measured {
            self.end.on_round_trip(&self.keepalive.trips, None, now);
        }
        if tick.overdue {
            self.end.on_overdue();
        }
        if now >= self.shrink_at {
            self.shrink_at = now + self.interval;
            self.connection.shrink();
        }
        let mut next = tick.next;
        if let Some(due) = self.end.on_timer(now)? {
            next = next.min(if blocked { due.max(now + BLOCKED_INTERVAL) } else { due });
        }
        Ok(self.deadline.poll_at(next, now, cx))
    }

    fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<E::Stop> {
        let now = Instant::now();
        if let Err(stop) = self.end.register(cx, now) {
            return Poll::Ready(stop);
        }
        let read = self.poll_read(cx, now);
        if self.connection.take_heard() && self.keepalive.on_heard(now) {
            self.end.on_answer();
        }
        if let Poll::Ready(Err(stop)) = read {
            // Sends the answer to the peer's close frame as far as possible without waiting.
            let _ = self.connection.poll_flush(cx);
            return Poll::Ready(stop);
        }
        if self.should_gather(read.is_pending()) {
            self.gathered = true;
            self.end.gather();
            return reschedule(cx);
        }
        self.gathered = false;
        let wrote = if self.write_failed.is_some() { Poll::Pending } else { self.poll_write(cx, now) };
        let blocked = wrote.is_pending();
        if let Poll::Ready(Err(stop)) = wrote {
            return Poll::Ready(stop);
        }
        if read.is_pending()
            && let Some(stop) = self.write_failed.take()
        {
            return Poll::Ready(stop);
        }
        match self.poll_timers(cx, now, blocked) {
            Err(stop) => Poll::Ready(stop),
            // More input may be available, or a ping waits to be written.
            Ok(due) if due || read.is_ready() || (!blocked && !self.connection.outgoing().is_empty()) => {
                reschedule(cx)
            }
            Ok(_) => Poll::Pending,
        }
    }

    /// Returns whether to let other tasks run before a batch is built, so that the messages of several calls under way
    /// share it.
    fn should_gather(&mut self, nothing_to_read: bool) -> bool {
        !self.gathered
            && nothing_to_read
            && self.connection.outgoing().is_empty()
            && self.end.is_busy()
            && self.end.wants_to_send()
    }
}

/// Ends the round and schedules another, so that other tasks of this thread run in between. A task that wakes itself would wake another
/// thread as well, which costs more than what a small call needs.
fn reschedule<T>(cx: &mut Context<'_>) -> Poll<T> {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending(), "it yields once");
    Poll::Pending
}

impl<S, E> Future for LinkDriver<S, E>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: LinkEnd<Stop: Unpin> + Unpin,
{
    type Output = E::Stop;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<E::Stop> {
        self.get_mut().poll_round(cx)
    }
}
