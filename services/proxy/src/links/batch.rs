//! Outgoing frames of a slave, packed into WebSocket messages. Must not know what the frames say.

use std::task::Waker;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use protocol::link::frame::{Frame, HEADER_LEN};
use protocol::link::limits::{MAX_BATCH, MAX_CHUNK};

use super::slave::{LinkState, Slave};

/// Least capacity of a batch's buffer, in bytes.
const MIN_BATCH_CAPACITY: usize = 512;

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

    /// Takes the frames that are to be sent now, as one batch of at most [`MAX_BATCH`] bytes. Native dialect only.
    /// Returns `None` for an older link: frames that it takes would be lost to the newest one.
    pub(super) fn next_batch(&self, generation: u64, now: Instant) -> Option<Bytes> {
        let mut link = self.link();
        if !self.is_current(generation) {
            return None;
        }
        let LinkState::Native(end) = &mut *link else { return None };
        let first = end.poll_transmit(now)?;
        let mut batch = BytesMut::with_capacity(first.encoded_len().max(MIN_BATCH_CAPACITY));
        first.encode(&mut batch);
        let room = MAX_BATCH - MAX_CHUNK - HEADER_LEN;
        while batch.len() <= room {
            let Some(frame) = end.poll_transmit(now) else { break };
            Frame::encode(&frame, &mut batch);
        }
        Some(batch.freeze())
    }
}
