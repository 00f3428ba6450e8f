//! Send queue of one link: control frames first, then one chunk of each call in turn. Must not know what calls carry.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::link::frame::Frame;
use crate::link::ids::CallId;

/// Longest time that an acknowledgement nobody waits for is held back, so that it can travel with other frames.
pub const ACK_DELAY: Duration = Duration::from_millis(20);

/// Largest number of frames held back at once.
const MAX_DELAYED: usize = 64;

/// Largest number of control frames queued for a peer that does not read, besides two for each call.
pub const MAX_PENDING_CONTROL: usize = 64 * 1024;

/// Send queue of one link. Bounded by the credit of the calls, their number, and [`MAX_PENDING_CONTROL`].
#[derive(Debug, Default)]
pub struct Outbox {
    control: VecDeque<Frame>,
    delayed: VecDeque<Frame>,
    delayed_until: Option<Instant>,
    calls: VecDeque<CallId>,
}

impl Outbox {
    /// Queues a frame that goes before all chunks.
    pub fn enqueue_control(&mut self, frame: Frame) {
        self.control.push_back(frame);
    }

    /// Queues a frame that goes with the next other frame, or after [`ACK_DELAY`] at the latest.
    pub fn enqueue_delayed(&mut self, frame: Frame, now: Instant) {
        self.delayed.push_back(frame);
        self.delayed_until.get_or_insert(now + ACK_DELAY);
    }

    /// Queues a call that has a chunk to send. The caller queues each call at most once at a time.
    pub fn enqueue_call(&mut self, call: CallId) {
        self.calls.push_back(call);
    }

    /// Returns the next control frame, or a delayed one that is due.
    pub fn next_control(&mut self, now: Instant) -> Option<Frame> {
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        let due = self.delayed.len() >= MAX_DELAYED || self.delayed_until.is_some_and(|at| at <= now);
        if due {
            self.flush_delayed();
            return self.control.pop_front();
        }
        None
    }

    /// Moves the delayed frames to the control frames: something else is being sent with which they can travel.
    pub fn flush_delayed(&mut self) {
        self.delayed_until = None;
        self.control.append(&mut self.delayed);
    }

    /// Returns the call whose turn it is.
    pub fn next_call(&mut self) -> Option<CallId> {
        self.calls.pop_front()
    }

    /// Returns when delayed frames are due.
    pub fn timeout(&self) -> Option<Instant> {
        self.delayed_until
    }

    /// Returns whether something can be sent now.
    pub fn has_urgent(&self) -> bool {
        !self.control.is_empty() || !self.calls.is_empty() || self.delayed.len() >= MAX_DELAYED
    }

    /// Returns whether the peer causes control frames faster than it reads them. Each call may have two of them queued.
    pub fn is_flooded(&self, calls: usize) -> bool {
        self.control.len() > MAX_PENDING_CONTROL + 2 * calls
    }

    /// Drops everything: the link is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
