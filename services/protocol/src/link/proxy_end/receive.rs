//! What a frame of the slave does to the calls. Knows no socket.

use std::time::Instant;

use super::call::{Carrier, Reader};
use super::event::ProxyEvent;
use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::call::ResponseEvent;
use crate::link::error::LinkError;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::CallId;
use crate::link::limits::MAX_CHUNKS_UNDER_WAY;
use crate::link::reassembler::ReassemblyError;
use crate::mcp::failure::Failure;

impl<S: Sink> ProxyEnd<S> {
    /// Takes one frame of the slave. On an error the link must be closed; calls then wait as after any broken link.
    pub fn receive(&mut self, frame: Frame, now: Instant) -> Result<(), LinkError> {
        if !self.linked {
            return Ok(());
        }
        if self.outbox.is_flooded(self.calls.len()) {
            return Err(LinkError::Flood);
        }
        match frame.kind {
            FrameKind::Event | FrameKind::End => self.receive_chunk(frame, now),
            FrameKind::Accepted => self.receive_accepted(&frame),
            FrameKind::Credit => {
                if let Some(call) = self.calls.get_mut(&frame.call) {
                    call.up.acknowledge(frame.seq)?;
                    Self::queue(&mut self.outbox, frame.call, call);
                }
                Ok(())
            }
            FrameKind::Catalog => {
                if let Some(whole) = self.catalog.take(frame)? {
                    self.events.push_back(ProxyEvent::Catalog(whole.message));
                }
                Ok(())
            }
            FrameKind::Drain => {
                self.events.push_back(ProxyEvent::Draining);
                Ok(())
            }
            FrameKind::Peers => {
                self.events.push_back(ProxyEvent::Peers(frame.payload));
                Ok(())
            }
            FrameKind::Session => {
                self.events.push_back(ProxyEvent::Session(frame.payload));
                Ok(())
            }
            FrameKind::Open | FrameKind::Reply | FrameKind::Cancel | FrameKind::Attach => {
                Err(LinkError::Unexpected(frame.kind))
            }
        }
    }

    fn receive_accepted(&mut self, frame: &Frame) -> Result<(), LinkError> {
        let Some(call) = self.calls.get_mut(&frame.call) else { return Ok(()) };
        if frame.seq < call.open_end {
            return Err(LinkError::Unexpected(FrameKind::Accepted));
        }
        call.accepted = true;
        match call.carrier {
            Carrier::Attaching => {
                call.up.rewind(frame.seq)?;
                call.up.acknowledge(frame.seq)?;
                call.carrier = Carrier::Link;
                self.tally.resumed += 1;
                // What was taken since `attach` was sent has not been told, and the slave may wait for nothing else.
                if call.taken > call.credited {
                    self.outbox.control(Frame::bare(FrameKind::Credit, frame.call, call.credit()));
                }
            }
            Carrier::Link => {
                call.up.acknowledge(frame.seq)?;
            }
            Carrier::Nothing => return Err(LinkError::Unexpected(FrameKind::Accepted)),
        }
        Self::queue(&mut self.outbox, frame.call, call);
        Ok(())
    }

    fn receive_chunk(&mut self, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else {
            self.events.push_back(ProxyEvent::Stray(frame.kind));
            return Ok(());
        };
        if frame.kind == FrameKind::End && frame.flags.has(Flags::GONE) {
            self.gone(id, frame.flags);
            return Ok(());
        }
        // An end before the whole `open` is there is a refusal; an event then is nonsense.
        let early = call.up.sent() < call.open_end;
        if call.ended || call.carrier != Carrier::Link || (early && frame.kind == FrameKind::Event) {
            return Err(LinkError::Unexpected(frame.kind));
        }
        if frame.seq != call.next {
            return Err(ReassemblyError::Gap { expected: call.next, found: frame.seq }.into());
        }
        if call.within.is_some_and(|kind| kind != frame.kind) {
            return Err(ReassemblyError::Mixed(frame.kind).into());
        }
        let bytes = frame.payload.len();
        let fits = call.untaken + bytes <= self.limits.window;
        if !fits || call.next - call.taken >= MAX_CHUNKS_UNDER_WAY {
            return Err(LinkError::Overrun { window: self.limits.window });
        }
        if !early {
            // Only a slave that has the whole of the `open` says anything: no need to keep it.
            call.up.acknowledge(call.open_end)?;
        }
        call.next += 1;
        call.untaken += bytes;
        call.accepted = true;
        call.within = frame.flags.has(Flags::MORE).then_some(frame.kind);
        call.ended = frame.kind == FrameKind::End && call.within.is_none();
        if call.ended {
            call.up.drop_unsent();
        }
        call.give_up = call.patience.map(|patience| patience.last.min(now + patience.silence));
        Self::queue(&mut self.outbox, id, call);
        if call.reader == Reader::Gone {
            let next = call.next;
            self.taken(id, next, bytes, now);
        } else if let Some(part) = ResponseEvent::from_frame(frame) {
            call.sink.part(part);
        }
        Ok(())
    }

    /// The slave does not have the call. It never ran, unless it showed a sign of it or says that it gave it up.
    fn gone(&mut self, id: CallId, flags: Flags) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        self.tally.gone += u64::from(call.carrier == Carrier::Attaching);
        if call.accepted || flags.has(Flags::ERROR) {
            call.fail(Failure::OutcomeUnknown);
        } else {
            call.unsent();
        }
    }
}
