//! What a slave is to be sent, as WebSocket messages. Must not know what the frames say.

use std::task::Waker;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
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

    /// The frames that are to go out now, as one batch; at most [`MAX_BATCH`] bytes. Native only. Nothing for an older
    /// link: what it took would be lost to the newest one.
    pub(in crate::links) fn next_batch(&self, generation: u64, now: Instant) -> Option<Bytes> {
        let mut carrier = self.carrier();
        if !self.is_current(generation) {
            return None;
        }
        let Carrier::Native(end) = &mut *carrier else { return None };
        let first = end.poll_transmit(now)?;
        let mut batch = BytesMut::with_capacity(first.encoded_len().max(512));
        first.encode(&mut batch);
        let room = MAX_BATCH - MAX_CHUNK - HEADER_LEN;
        while batch.len() <= room {
            let Some(frame) = end.poll_transmit(now) else { break };
            Frame::encode(&frame, &mut batch);
        }
        Some(batch.freeze())
    }
}
