//! Sending: the next frame on each link of the slave's end. Must not know sockets.

use std::time::Instant;

use super::call::{Call, CallState};
use super::state::SlaveEnd;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::{CallId, LinkId};

impl SlaveEnd {
    pub(super) fn enqueue_control(&mut self, link: LinkId, frame: Frame) {
        if let Some(to) = self.links.get_mut(&link) {
            to.outbox.enqueue_control(frame);
        }
    }

    /// Puts a call into its link's outbox if it has a chunk to send and does not stand there yet.
    pub(super) fn enqueue(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(link) = call.link.and_then(|link| self.links.get_mut(&link)) else { return };
        if !call.queued && call.response.can_send() {
            call.queued = true;
            link.outbox.enqueue_call(id);
        }
    }

    /// Returns whether this link's [`SlaveEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.outbox.has_urgent() || !link.owed_credits.is_empty())
    }

    /// Returns when this link's [`SlaveEnd::poll_transmit`] has something though nothing else happens.
    pub fn link_timeout(&self, link: LinkId) -> Option<Instant> {
        self.links.get(&link).and_then(|link| link.pending_accepted.front().map(|(at, _)| *at))
    }

    /// Returns the next frame for this link's socket.
    pub fn poll_transmit(&mut self, link: LinkId, now: Instant) -> Option<Frame> {
        self.clock = Some(now);
        self.enqueue_due_accepted(link, now);
        self.enqueue_owed_credits(link, now);
        let to = self.links.get_mut(&link)?;
        if let Some(frame) = to.outbox.next_control(now) {
            return Some(frame);
        }
        while let Some(id) = to.outbox.next_call() {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.link == Some(link)) else { continue };
            call.queued = false;
            if let Some(frame) = call.response.send(id) {
                if call.response.can_send() {
                    call.queued = true;
                    to.outbox.enqueue_call(id);
                } else {
                    let stalls = call.response.has_unsent();
                    self.stats.stalls += u64::from(stalls);
                    call.stalled_since = stalls.then_some(now);
                }
                return Some(frame);
            }
        }
        None
    }

    /// Queues `accepted` for calls that have run for a while without writing anything. Most calls end before that, which saves
    /// them the frame.
    fn enqueue_due_accepted(&mut self, link: LinkId, now: Instant) {
        let Some(to) = self.links.get_mut(&link) else { return };
        while let Some((at, id)) = to.pending_accepted.front().copied() {
            let call = self.calls.get_mut(&id).filter(|call| call.link == Some(link));
            let is_silent = |call: &Call| !call.accepted && call.response.next() == 0;
            if at > now && call.as_deref().is_some_and(is_silent) {
                break;
            }
            // Taken out at once where it needs nothing any more: a timer that is set anew for each call costs more than the call.
            to.pending_accepted.pop_front();
            let Some(call) = call else { continue };
            if is_silent(call) {
                to.outbox.enqueue_control(Frame::bare(FrameKind::Accepted, id, call.request.next()));
            }
            call.accepted = true;
        }
    }

    /// Queues credit for the calls that are owed some and whose `open` has still not come in full: with larger windows where round trips
    /// hold it up, since the slave keeps all of it anyway.
    fn enqueue_owed_credits(&mut self, link: LinkId, now: Instant) {
        let Some(to) = self.links.get_mut(&link) else { return };
        for id in to.owed_credits.drain() {
            let is_receiving =
                |call: &&mut Call| call.state == CallState::Receiving && call.link == Some(link);
            let Some(call) = self.calls.get_mut(&id).filter(is_receiving) else { continue };
            if call.window.is_short(call.uncredited, 0, to.trip, now) {
                call.window.grow();
            }
            call.uncredited = 0;
            call.credited = call.request.next();
            let credit = Frame::bare(FrameKind::Credit, id, call.credited);
            to.outbox.enqueue_control(Frame { aux: call.window.doublings(), ..credit });
        }
    }
}
