//! What one link sends next: control frames first, then one chunk of each call in turn. Knows no call's contents.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::link::frame::Frame;
use crate::link::ids::CallId;

/// How long a frame that nobody waits for may stay behind for company.
pub const ACK_DELAY: Duration = Duration::from_millis(20);

/// How many such frames wait at most.
const MAX_DELAYED: usize = 64;

/// How many control frames wait at most for a peer that does not read.
const MAX_PENDING_CONTROL: usize = 64 * 1024;

/// Queue of one link. Its size is bounded by what the calls' credit lets them say, and by the number of calls.
#[derive(Debug, Default)]
pub struct Outbox {
    control: VecDeque<Frame>,
    lazy: VecDeque<Frame>,
    lazy_due: Option<Instant>,
    ready: VecDeque<CallId>,
}

impl Outbox {
    /// Sends before all chunks.
    pub fn control(&mut self, frame: Frame) {
        self.control.push_back(frame);
    }

    /// Sends with the next other frame, or after [`ACK_DELAY`] at the latest.
    pub fn lazy(&mut self, frame: Frame, now: Instant) {
        self.lazy.push_back(frame);
        self.lazy_due.get_or_insert(now + ACK_DELAY);
    }

    /// The call has a chunk to send. The caller sees to it that a call stands here once at most.
    pub fn ready(&mut self, call: CallId) {
        self.ready.push_back(call);
    }

    /// The next control frame, else a lazy one whose time has come.
    pub fn next_control(&mut self, now: Instant) -> Option<Frame> {
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        let due = self.lazy.len() >= MAX_DELAYED || self.lazy_due.is_some_and(|at| at <= now);
        if due {
            // All of them go: the next calls of this function find them in `control`.
            self.flush_delayed();
            return self.control.pop_front();
        }
        None
    }

    /// Something else is being sent: the lazy frames keep it company.
    pub fn flush_delayed(&mut self) {
        self.lazy_due = None;
        self.control.append(&mut self.lazy);
    }

    /// The call whose turn it is.
    pub fn next_call(&mut self) -> Option<CallId> {
        self.ready.pop_front()
    }

    /// When [`Outbox::next_control`] has something though nothing else happens.
    pub fn timeout(&self) -> Option<Instant> {
        self.lazy_due
    }

    /// Whether something goes out without waiting.
    pub fn has_urgent(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty() || self.lazy.len() >= MAX_DELAYED
    }

    /// Whether the peer makes us answer faster than it reads, where each of so many calls may well have two answers due.
    pub fn is_flooded(&self, calls: usize) -> bool {
        self.control.len() > MAX_PENDING_CONTROL + 2 * calls
    }

    /// The link is gone: calls' turns and everything said about the link itself are void.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
