//! Sending: the next frame of the proxy's end. Must not know sockets.

use std::time::Instant;

use super::call::{Call, CallLocation};
use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::Frame;
use crate::link::ids::CallId;
use crate::link::outbox::Outbox;

impl<S: Sink> ProxyEnd<S> {
    /// Puts a call into the outbox if it has a chunk to send and does not stand there yet.
    pub(super) fn enqueue(outbox: &mut Outbox, id: CallId, call: &mut Call<S>) {
        if call.location == CallLocation::OnLink && !call.queued && call.request.can_send() {
            call.queued = true;
            outbox.enqueue_call(id);
        }
    }

    /// Returns the next frame for the socket. A returned frame counts as written: an `open` that was returned whole may have
    /// arrived.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        if !self.linked {
            return None;
        }
        if let Some(frame) = self.outbox.next_control(now) {
            return Some(frame);
        }
        while let Some(id) = self.outbox.next_call() {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            call.queued = false;
            if let Some(frame) = call.request.send(id) {
                Self::enqueue(&mut self.outbox, id, call);
                self.stats.stalls += u64::from(!call.queued && call.request.has_unsent());
                self.outbox.flush_delayed();
                return Some(frame);
            }
        }
        None
    }

    /// Returns whether [`ProxyEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self) -> bool {
        self.linked && self.outbox.has_urgent()
    }
}
