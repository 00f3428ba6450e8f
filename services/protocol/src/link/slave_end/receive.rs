//! Receiving: the effect of each frame of a proxy. Must not know sockets.

use std::time::Instant;

use bytes::Bytes;

use super::call::{Call, CallState, Opened};
use super::event::SlaveEvent;
use super::state::SlaveEnd;
use crate::link::error::LinkError;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, LinkId};
use crate::link::limits::{LinkLimits, MAX_HEADER};
use crate::link::outbox::ACK_DELAY;
use crate::link::reassembler::{Reassembler, ReassemblyError};
use crate::link::window::FAR_DOUBLINGS;
use crate::mcp::era::Era;
use crate::mcp::failure::Failure;

impl SlaveEnd {
    /// Takes one frame of a proxy. Frames of links that are down are ignored.
    ///
    /// # Errors
    /// The proxy broke the protocol: that link must be closed.
    pub fn receive(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        self.clock = Some(now);
        let Some(from) = self.links.get(&link) else { return Ok(()) };
        if from.outbox.is_flooded(self.calls.len()) {
            return Err(LinkError::Flood);
        }
        match frame.kind {
            FrameKind::Open => self.receive_open(link, frame, now),
            FrameKind::Cancel => {
                if self.is_open_to(link, frame.call) {
                    self.release(frame.call, !frame.flags.has(Flags::FORGET));
                }
                Ok(())
            }
            FrameKind::Credit if self.is_open_to(link, frame.call) => self.receive_credit(&frame),
            FrameKind::Credit => Ok(()),
            FrameKind::Attach => self.receive_attach(link, &frame),
            FrameKind::Session => {
                self.events.push_back(SlaveEvent::Session(link, frame.payload));
                Ok(())
            }
            FrameKind::Drain => {
                self.events.push_back(SlaveEvent::ProxyDraining(link));
                Ok(())
            }
            FrameKind::Peers => {
                self.events.push_back(SlaveEvent::Peers(link, frame.payload));
                Ok(())
            }
            FrameKind::Accepted
            | FrameKind::Event
            | FrameKind::End
            | FrameKind::Reply
            | FrameKind::Catalog => Err(LinkError::Unexpected(frame.kind)),
        }
    }

    /// Returns whether a call is known on a link: it was opened by a proxy of the same fleet as the one behind the link.
    fn is_open_to(&self, link: LinkId, id: CallId) -> bool {
        let (call, link) = (self.calls.get(&id), self.links.get(&link));
        call.zip(link).is_some_and(|(call, link)| call.fleet.shares_a_key(&link.peer.fleet))
    }

    fn receive_open(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let id = frame.call;
        if self.links.get(&link).is_some_and(|link| link.peer.instance != id.proxy()) {
            return Err(LinkError::ForeignCall);
        }
        let header_len = usize::from(frame.aux);
        if frame.seq == 0 && (header_len == 0 || header_len > MAX_HEADER || header_len > frame.payload.len())
        {
            return Err(LinkError::HeaderLength(header_len));
        }
        if !self.calls.contains_key(&id) {
            if frame.seq != 0 {
                // The rest of a call that was refused or cancelled.
                return Ok(());
            }
            if self.draining || self.stopping.contains(&id) {
                self.send_gone(link, id);
                return Ok(());
            }
            self.begin(link, id, frame.flags.has(Flags::FAR));
        } else if !self.is_open_to(link, id) {
            // A proxy of another fleet has taken this proxy's instance and this id: the call never comes to run here.
            if frame.seq == 0 {
                self.send_gone(link, id);
            }
            return Ok(());
        }
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.state != CallState::Receiving || call.link != Some(link) {
            return Err(LinkError::Unexpected(FrameKind::Open));
        }
        let before = call.pending_bytes();
        let pushed = call.push_open(frame);
        let pending = call.pending_bytes();
        self.assembly_bytes = self.assembly_bytes + pending - before;
        match pushed {
            Ok(Some(opened)) => self.start(link, id, opened, now),
            Ok(None) if self.assembly_bytes > self.limits.assembly => self.refuse(id, &memory_full()),
            Ok(None) => self.credit_open(link, id, pending - before),
            Err(ReassemblyError::TooLong { limit }) => self.refuse(id, &Failure::BodyTooLarge { limit }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Tells the proxy that a call that it opens never began.
    fn send_gone(&mut self, link: LinkId, id: CallId) {
        self.enqueue_control(link, Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, id, 0) });
    }

    fn begin(&mut self, link: LinkId, id: CallId, is_far: bool) {
        let Some(peer) = self.links.get(&link).map(|link| link.peer) else { return };
        let window = usize::try_from(peer.window).unwrap_or(usize::MAX);
        let limits = LinkLimits { window, ..self.limits.clone() };
        let request = Reassembler::new(self.limits.message + MAX_HEADER);
        let mut call = Call::new(link, peer.fleet, request, &limits, self.limits.window);
        if is_far {
            call.window.begin_far();
            call.response.grow_window(FAR_DOUBLINGS);
        }
        self.calls.insert(id, call);
    }

    fn start(&mut self, link: LinkId, id: CallId, opened: Opened, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.state = CallState::Running;
        if let Some(link) = self.links.get_mut(&link) {
            link.pending_accepted.push_back((now + ACK_DELAY, id));
        }
        let Opened { header, message } = opened;
        self.events.push_back(SlaveEvent::Start { call: id, header, message });
    }

    /// Refuses a call of which not all has come; the rest of its `open` is ignored.
    fn refuse(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.assembly_bytes -= call.pending_bytes();
        if let Some(link) = call.link {
            let payload = Bytes::from(failure.error_object(Era::Legacy));
            let end = Frame { flags: Flags::ERROR, payload, ..Frame::bare(FrameKind::End, id, 0) };
            self.enqueue_control(link, end);
        }
    }

    /// Notes that credit is owed for chunks of an `open` that is not whole, once much of what is allowed has come. It is sent if the
    /// rest has not come either when the link is written: a whole `open` needs none.
    fn credit_open(&mut self, link: LinkId, id: CallId, bytes: usize) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.uncredited += bytes;
        let chunks = call.request.next() - call.credited;
        if call.window.owes_credit(call.uncredited, chunks)
            && let Some(link) = self.links.get_mut(&link)
        {
            link.owed_credits.insert(id);
        }
    }

    fn receive_credit(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        self.journal_bytes -= call.response.acknowledge(frame.seq)?;
        call.response.grow_window(frame.aux);
        call.stalled_since = None;
        if call.producer_waits && !call.is_full() {
            call.producer_waits = false;
            self.events.push_back(SlaveEvent::Writable { call: id });
        }
        if call.state == CallState::Ended && call.response.is_empty() {
            self.release(id, !frame.flags.has(Flags::FORGET));
        } else {
            self.enqueue(id);
        }
        Ok(())
    }

    fn receive_attach(&mut self, link: LinkId, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let is_foreign = self.calls.contains_key(&id) && !self.is_open_to(link, id);
        let can_attach = |call: &&mut Call| {
            !is_foreign && !matches!(call.state, CallState::Receiving | CallState::NoReader)
        };
        let Some(call) = self.calls.get_mut(&id).filter(can_attach) else {
            self.stats.gone += 1;
            // Whether a call of another fleet runs is not told, and it must not be run again.
            let may_have_run = is_foreign || self.tombstones.may_contain(id);
            let ran = if may_have_run { Flags::ERROR } else { Flags::NONE };
            let flags = Flags::GONE.with(ran);
            self.enqueue_control(link, Frame { flags, ..Frame::bare(FrameKind::End, id, frame.seq) });
            return Ok(());
        };
        call.response.rewind(frame.seq)?;
        self.stats.resumed += 1;
        call.link = Some(link);
        call.retention_ends_at = None;
        call.stalled_since = None;
        call.accepted = true;
        call.queued = false;
        let accepted = Frame::bare(FrameKind::Accepted, id, call.request.next());
        self.enqueue_control(link, accepted);
        self.enqueue(id);
        Ok(())
    }
}

fn memory_full() -> Failure {
    Failure::Busy { what: "the slave's memory for incoming messages is full".into(), retry_after: 1 }
}
