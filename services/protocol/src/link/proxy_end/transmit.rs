//! What the proxy's end sends next. Must not know sockets.

use std::time::Instant;

use super::call::{Call, Carrier};
use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::Frame;
use crate::link::ids::CallId;
use crate::link::outbox::Outbox;

impl<S: Sink> ProxyEnd<S> {
    pub(super) fn queue(outbox: &mut Outbox, id: CallId, call: &mut Call<S>) {
        if call.carrier == Carrier::Link && !call.queued && call.up.can_send() {
            call.queued = true;
            outbox.ready(id);
        }
    }

    /// The next frame for the socket. What it returns counts as written: an `open` taken here whole may have arrived.
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
            if let Some(frame) = call.up.send(id) {
                Self::queue(&mut self.outbox, id, call);
                self.tally.stalls += u64::from(!call.queued && call.up.has_unsent());
                self.outbox.flush_delayed();
                return Some(frame);
            }
        }
        None
    }

    /// Whether [`ProxyEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self) -> bool {
        self.linked && self.outbox.has_urgent()
    }
}
