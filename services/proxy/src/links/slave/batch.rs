//! What a slave is to be sent, as WebSocket messages. Must not know what the frames say.

use std::task::Waker;
use std::time::Instant;

use protocol::link::frame::{Frame, HEADER_LEN};
use protocol::link::limits::{MAX_BATCH, MAX_CHUNK};

use super::{Carrier, Slave};

impl Slave {
    /// Wakes this link's task when there is something to be sent. `false`: a newer link has taken over, and it is
    /// that one's task that is woken.
    pub(in crate::links) fn wake_link(&self, generation: u64, waker: &Waker) -> bool {
        // Links are numbered under this lock: an older one must not take the newest one's place.
        let _carrier = self.carrier();
        let current = self.is_current(generation);
        if current {
            self.waker.register(waker);
        }
        current
    }

    /// Whether a frame waits to be sent. Native only.
    pub(in crate::links) fn has_something_to_send(&self) -> bool {
        match &*self.carrier() {
            Carrier::Native(end) => end.wants_to_send(),
            Carrier::Plain(_) => false,
        }
    }

    /// Moves the frames that are to go out now into `frames`: one batch of at most [`MAX_BATCH`] bytes. Returns whether
    /// there may be more. Native only. Nothing for an older link: what it took would be lost to the newest one.
    pub(in crate::links) fn next_batch(
        &self,
        generation: u64,
        now: Instant,
        frames: &mut Vec<Frame>,
    ) -> bool {
        let mut carrier = self.carrier();
        if !self.is_current(generation) {
            return false;
        }
        let Carrier::Native(end) = &mut *carrier else { return false };
        let mut bytes = 0;
        while bytes <= MAX_BATCH - MAX_CHUNK - HEADER_LEN {
            let Some(frame) = end.poll_transmit(now) else { return false };
            bytes += frame.encoded_len();
            frames.push(frame);
        }
        true
    }

    /// The next text frame. Plain only. Nothing for an older link.
    pub(in crate::links) fn next_text(&self, generation: u64) -> Option<String> {
        match &mut *self.carrier() {
            Carrier::Plain(end) if self.is_current(generation) => end.next_text(),
            Carrier::Plain(_) | Carrier::Native(_) => None,
        }
    }
}
