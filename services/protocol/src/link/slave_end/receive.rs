//! What a frame of a proxy does to the calls. Knows no socket.

use std::time::Instant;

use bytes::Bytes;

use super::call::{Call, Stage};
use super::event::SlaveEvent;
use super::state::SlaveEnd;
use crate::link::error::LinkError;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, LinkId};
use crate::link::journal::Journal;
use crate::link::limits::{LinkLimits, MAX_CHUNKS_UNDER_WAY, MAX_HEADER};
use crate::link::outbox::ACK_DELAY;
use crate::link::reassembler::{Reassembled, Reassembler, ReassemblyError};
use crate::mcp::failure::Failure;

impl SlaveEnd {
    /// Takes one frame of a proxy. On an error that link must be closed.
    pub fn receive(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let Some(from) = self.links.get(&link) else { return Ok(()) };
        if from.outbox.is_flooded(self.calls.len()) {
            return Err(LinkError::Flood);
        }
        match frame.kind {
            FrameKind::Open => self.receive_open(link, frame, now),
            FrameKind::Cancel => {
                self.stop(frame.call);
                Ok(())
            }
            FrameKind::Credit => self.receive_credit(&frame),
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

    fn receive_open(&mut self, link: LinkId, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let id = frame.call;
        let header_len = usize::from(frame.aux);
        if frame.seq == 0 && (header_len == 0 || header_len > MAX_HEADER || header_len > frame.payload.len())
        {
            return Err(LinkError::Header(header_len));
        }
        if !self.calls.contains_key(&id) {
            if frame.seq != 0 {
                // The rest of a call that was refused or cancelled.
                return Ok(());
            }
            if self.draining {
                let gone = Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, id, 0) };
                self.control(link, gone);
                return Ok(());
            }
            self.begin(link, id);
        }
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.stage != Stage::Receiving || call.link != Some(link) {
            return Err(LinkError::Unexpected(FrameKind::Open));
        }
        let before = call.intake.pending();
        let taken = call.intake.take(frame);
        let pending = call.intake.pending();
        self.assembly_bytes = self.assembly_bytes + pending - before;
        match taken {
            Ok(Some(whole)) => self.start(link, id, &whole, now),
            Ok(None) if self.assembly_bytes > self.limits.assembly => {
                self.refuse(id, &memory_full());
            }
            Ok(None) => self.credit_upload(link, id, pending - before),
            Err(ReassemblyError::TooLong { limit }) => self.refuse(id, &Failure::BodyTooLarge { limit }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn begin(&mut self, link: LinkId, id: CallId) {
        let window = self.links.get(&link).map_or(self.limits.window, |l| l.window);
        let down = Journal::new(&LinkLimits { window, ..self.limits.clone() });
        let call = Call {
            link: Some(link),
            intake: Reassembler::new(self.limits.message + MAX_HEADER),
            credited: 0,
            uncredited: 0,
            stage: Stage::Receiving,
            announced: false,
            queued: false,
            waiting: false,
            down,
            forget_at: None,
        };
        self.calls.insert(id, call);
    }

    fn start(&mut self, link: LinkId, id: CallId, whole: &Reassembled, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.stage = Stage::Running;
        if let Some(link) = self.links.get_mut(&link) {
            link.unannounced.push_back((now + ACK_DELAY, id));
        }
        let mut message = whole.message.clone();
        let header = message.split_to(usize::from(whole.aux).min(message.len()));
        self.events.push_back(SlaveEvent::Start { call: id, header, message });
    }

    /// Refuses a call that is not wholly received; the rest of its `open` is ignored.
    fn refuse(&mut self, id: CallId, failure: &Failure) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.assembly_bytes -= call.intake.pending();
        if let Some(link) = call.link {
            let payload = Bytes::from(failure.error_object());
            self.control(link, Frame { flags: Flags::ERROR, payload, ..Frame::bare(FrameKind::End, id, 0) });
        }
    }

    fn credit_upload(&mut self, link: LinkId, id: CallId, bytes: usize) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.uncredited += bytes;
        let next = call.intake.next();
        if call.uncredited >= self.limits.window / 4 || next - call.credited >= MAX_CHUNKS_UNDER_WAY / 4 {
            call.uncredited = 0;
            call.credited = next;
            self.control(link, Frame::bare(FrameKind::Credit, id, next));
        }
    }

    fn receive_credit(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        self.journal_bytes -= call.down.acknowledge(frame.seq)?;
        if call.waiting && call.down.bytes() <= call.room() {
            call.waiting = false;
            self.events.push_back(SlaveEvent::Room { call: id });
        }
        if call.stage == Stage::Ended && call.down.is_empty() {
            self.calls.remove(&id);
        } else {
            self.queue(id);
        }
        Ok(())
    }

    fn receive_attach(&mut self, link: LinkId, frame: &Frame) -> Result<(), LinkError> {
        let id = frame.call;
        let known = |call: &&mut Call| !matches!(call.stage, Stage::Receiving | Stage::Unheard);
        let Some(call) = self.calls.get_mut(&id).filter(known) else {
            self.tally.gone += 1;
            let ran = if self.forgotten.may_contain(id) { Flags::ERROR } else { Flags::NONE };
            let flags = Flags::GONE.with(ran);
            self.control(link, Frame { flags, ..Frame::bare(FrameKind::End, id, frame.seq) });
            return Ok(());
        };
        call.down.rewind(frame.seq)?;
        self.tally.resumed += 1;
        call.link = Some(link);
        call.forget_at = None;
        call.announced = true;
        call.queued = false;
        let accepted = Frame::bare(FrameKind::Accepted, id, call.intake.next());
        self.control(link, accepted);
        self.queue(id);
        Ok(())
    }
}

fn memory_full() -> Failure {
    Failure::Busy { what: "the slave's memory for incoming messages is full".into(), retry_after: 1 }
}
