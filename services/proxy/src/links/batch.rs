//! The next output to a slave: a batch of frames (native dialect) or a text frame (plain dialect). Must not know
//! what the frames say.

use std::task::Waker;
use std::time::Instant;

use protocol::link::frame::{Frame, HEADER_LEN};
use protocol::link::limits::{MAX_BATCH, MAX_CHUNK};

use super::slave::{LinkState, Slave};

impl Slave {
    /// Registers the waker of the link's task: it is woken when there is something to send. Returns `false` where a
    /// newer link has taken over, whose task is woken instead.
    pub(super) fn wake_link(&self, generation: u64, waker: &Waker) -> bool {
        // Generations change under this lock: an older link must not replace the waker of the newest one.
        let _link = self.link();
        let current = self.is_current(generation);
        if current {
            self.waker.register(waker);
        }
        current
    }

    /// Returns whether a frame waits to be sent. Native dialect only.
    pub(super) fn has_something_to_send(&self) -> bool {
        match &*self.link() {
            LinkState::Native(end) => end.wants_to_send(),
            LinkState::Plain(_) => false,
        }
    }

    /// Moves the frames that are to be sent now into `frames`: one batch of at most [`MAX_BATCH`] bytes. Returns whether
    /// there may be more. Native dialect only. Moves none for an older link: frames that it takes would be lost to the
    /// newest one.
    pub(super) fn next_batch(&self, generation: u64, now: Instant, frames: &mut Vec<Frame>) -> bool {
        let mut link = self.link();
        if !self.is_current(generation) {
            return false;
        }
        let LinkState::Native(end) = &mut *link else { return false };
        let mut bytes = 0;
        while bytes <= MAX_BATCH - MAX_CHUNK - HEADER_LEN {
            let Some(frame) = end.poll_transmit(now) else { return false };
            bytes += frame.encoded_len();
            frames.push(frame);
        }
        true
    }

    /// Takes the next text frame. Plain dialect only. Returns `None` for an older link.
    pub(super) fn next_text(&self, generation: u64) -> Option<String> {
        match &mut *self.link() {
            LinkState::Plain(end) if self.is_current(generation) => end.next_text(),
            LinkState::Plain(_) | LinkState::Native(_) => None,
        }
    }
}
