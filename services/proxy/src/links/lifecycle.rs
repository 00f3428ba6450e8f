//! The life of a slave's links: a link comes up, is replaced, is asked to close, goes down, and its calls expire. Must
//! not know sockets.
//!
//! Links of a slave are numbered (generations). The task of an older link finds another number and ends by itself.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::close_reason::CloseReason;
use super::disconnect::DisconnectReason;
use super::slave::{LinkState, Slave};
use crate::metrics;

/// Most malformed answers within a minute; with one more the link is closed (docs/PROTOCOL.md, "Limits").
const MAX_BAD_ANSWERS: u32 = 100;

/// Result of [`Slave::poll_timers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timers {
    /// Calls that timed out.
    pub(super) timed_out: usize,
    /// When to poll again. `None`: no call waits for the slave any more, so it can be forgotten.
    pub(super) next: Option<Instant>,
}

impl Slave {
    /// Makes a new link the current one, and returns its generation.
    pub(super) fn link_up(&self, window: u32, now: Instant) -> u64 {
        let mut link = self.link();
        self.announced().begin();
        match &mut *link {
            LinkState::Native(end) => {
                if self.is_linked() {
                    end.link_down(now);
                }
                end.link_up(window);
            }
            LinkState::Plain(end) => end.link_up(now),
        }
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.relinked.notify_one();
        self.close_request.store(0, Ordering::Release);
        self.bad_answers.forget();
        self.dead.store(false, Ordering::Release);
        self.awaited.end();
        self.health.link_up();
        drop(link);
        self.waker.wake();
        generation
    }

    /// Records that the link of this generation is gone. Returns `false` where a newer link has taken over before.
    pub(super) fn link_down(&self, generation: u64, now: Instant) -> bool {
        let mut link = self.link();
        if !self.is_current(generation) {
            return false;
        }
        self.health.link_down();
        match &mut *link {
            LinkState::Native(end) => {
                end.link_down(now);
                if self.dead.load(Ordering::Acquire) {
                    end.end_grace(now);
                }
            }
            LinkState::Plain(end) => end.link_down(now),
        }
        true
    }

    /// Awaits the slave whose link ends for this reason, unless the slave leaves. To be called before the link is down.
    pub(super) fn await_return(&self, reason: &DisconnectReason, grace: Duration, now: Instant) {
        if reason.is_leaving() || self.health.is_going_down() || self.dead.load(Ordering::Acquire) {
            self.awaited.end();
        } else {
            self.awaited.begin(grace, now);
        }
    }

    /// Returns until when the slave is awaited; `None`: it is linked, or not expected back.
    pub(crate) fn awaited_until(&self, now: Instant) -> Option<Instant> {
        if self.is_linked() { None } else { self.awaited.until(now) }
    }

    /// Records that the slave was silent before its link was given up: it is probably dead, not only without a link.
    pub(super) fn presume_dead(&self, now: Instant) {
        if let LinkState::Native(end) = &mut *self.link() {
            end.presume_dead(now);
        }
    }

    /// Returns whether the link of this generation is the current one.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// Records that the slave's process is known to be gone: its calls are lost at once, or as soon as its link is
    /// known to be down. Returns whether they are lost already.
    pub(super) fn mark_dead(&self, now: Instant) -> bool {
        let mut link = self.link();
        self.dead.store(true, Ordering::Release);
        self.awaited.end();
        if self.is_linked() {
            return false;
        }
        if let LinkState::Native(end) = &mut *link {
            end.end_grace(now);
        }
        true
    }

    /// Counts an answer that its call may not have; too many in a short time close the link. `kind` is what is wrong.
    pub(crate) fn record_bad_answer(&self, kind: &'static str, now: Instant) {
        metrics::record_bad_answer(&self.name, kind);
        if self.bad_answers.record(now) > MAX_BAD_ANSWERS {
            self.close(CloseReason::BadAnswers);
        }
    }

    /// Asks the task of the current link to close it for this reason.
    pub(super) fn close(&self, reason: CloseReason) {
        self.close_request.store(reason as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Returns the reason for which the current link is to be closed, if that was asked for.
    pub(super) fn close_request(&self) -> Option<CloseReason> {
        CloseReason::of(self.close_request.load(Ordering::Acquire))
    }

    /// Times out the calls of a slave without a link: those that took too long, and all of them when the grace is over. A slave
    /// for which nothing waits can be forgotten at once, unless it is awaited, or ejected: reconnecting must not readmit it.
    pub(super) fn poll_timers(&self, now: Instant) -> Timers {
        let awaited = self.awaited_until(now);
        match &mut *self.link() {
            LinkState::Native(end) => {
                let timed_out = end.time_out(now);
                end.report_loss(now);
                let is_wanted = self.is_linked() || awaited.is_some() || self.health.is_ejected();
                let is_over = end.expire(now) || (end.is_idle() && !is_wanted);
                let next = if is_over { None } else { end.poll_timeout().into_iter().chain(awaited).min() };
                Timers { timed_out, next }
            }
            LinkState::Plain(end) => {
                let timed_out = end.time_out(now);
                end.expire(now);
                Timers { timed_out, next: end.poll_lost(now).into_iter().chain(awaited).min() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use link::ConnectionError;

    use super::*;

    #[test]
    fn a_slave_that_leaves_is_not_awaited_and_another_is() {
        use DisconnectReason::{Closed, ClosedByProxy, Drained, Lost, Protocol, Silent};
        let (now, grace) = (Instant::now(), Duration::from_secs(2));
        let awaited = |reason: &DisconnectReason, drains: bool| {
            let slave = Slave::plain(1, "s".into(), 0, grace);
            slave.link_up(0, now);
            if drains {
                slave.set_draining();
            }
            slave.await_return(reason, grace, now);
            assert!(slave.awaited_until(now).is_none(), "its link is still up");
            slave.health.link_down();
            slave.awaited_until(now)
        };
        for reason in [Silent, Lost(ConnectionError::UnexpectedEof)] {
            assert_eq!(awaited(&reason, false), Some(now + grace), "{reason:?}");
            assert_eq!(awaited(&reason, true), None, "{reason:?} while it drains");
        }
        let protocol = Protocol("p".into());
        for reason in [Closed, Drained, protocol, ClosedByProxy(CloseReason::CodeRemoved)] {
            assert_eq!(awaited(&reason, false), None, "{reason:?}");
        }
    }
}
