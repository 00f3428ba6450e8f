//! What the slave's end sends next on each link. Must not know sockets.

use std::time::Instant;

use super::state::SlaveEnd;
use crate::link::frame::{Frame, FrameKind};
use crate::link::ids::{CallId, LinkId};

impl SlaveEnd {
    pub(super) fn control(&mut self, link: LinkId, frame: Frame) {
        if let Some(to) = self.links.get_mut(&link) {
            to.outbox.control(frame);
        }
    }

    pub(super) fn queue(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(link) = call.link.and_then(|link| self.links.get_mut(&link)) else { return };
        if !call.queued && call.down.can_send() {
            call.queued = true;
            link.outbox.ready(id);
        }
    }

    /// Whether this link's [`SlaveEnd::poll_transmit`] has something right now.
    pub fn wants_to_send(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.outbox.has_urgent())
    }

    /// When this link's [`SlaveEnd::poll_transmit`] has something though nothing else happens.
    pub fn link_timeout(&self, link: LinkId) -> Option<Instant> {
        self.links.get(&link).and_then(|link| link.unannounced.front().map(|(at, _)| *at))
    }

    /// The next frame for this link's socket.
    pub fn poll_transmit(&mut self, link: LinkId, now: Instant) -> Option<Frame> {
        self.announce(link, now);
        let to = self.links.get_mut(&link)?;
        if let Some(frame) = to.outbox.next_control(now) {
            return Some(frame);
        }
        while let Some(id) = to.outbox.next_call() {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.link == Some(link)) else { continue };
            call.queued = false;
            if let Some(frame) = call.down.send(id) {
                if call.down.can_send() {
                    call.queued = true;
                    to.outbox.ready(id);
                } else {
                    self.tally.stalls += u64::from(call.down.has_unsent());
                }
                return Some(frame);
            }
        }
        None
    }

    /// Says `accepted` for calls that have run for a while without saying anything themselves.
    fn announce(&mut self, link: LinkId, now: Instant) {
        let Some(to) = self.links.get_mut(&link) else { return };
        while let Some((_, id)) = to.unannounced.pop_front_if(|(at, _)| *at <= now) {
            let Some(call) = self.calls.get_mut(&id).filter(|call| call.link == Some(link)) else { continue };
            if !call.announced && call.down.next() == 0 {
                to.outbox.control(Frame::bare(FrameKind::Accepted, id, call.intake.next()));
            }
            call.announced = true;
        }
    }
}
