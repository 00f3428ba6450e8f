//! What a slave is to be sent, as WebSocket messages. Must not know what the frames say.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use protocol::frame::{Frame, HEADER_LEN};
use protocol::limits::{MAX_BATCH, MAX_CHUNK};

use super::{Carrier, Slave};

impl Slave {
    /// Whether a frame waits to be sent. Native only.
    pub(in crate::back) fn has_something_to_send(&self) -> bool {
        match &*self.carrier() {
            Carrier::Native(end) => end.wants_to_send(),
            Carrier::Plain(_) => false,
        }
    }

    /// The frames that are to go out now, as one batch; at most [`MAX_BATCH`] bytes. Native only.
    pub(in crate::back) fn next_batch(&self, now: Instant) -> Option<Bytes> {
        let mut carrier = self.carrier();
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
