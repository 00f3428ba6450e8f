//! Receiving: the effect of each frame of the slave. Must not know sockets.

use std::time::Instant;

use super::call::{Call, CallLocation, Reader};
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
    /// Takes one frame of the slave. Frames are ignored while there is no link.
    ///
    /// # Errors
    /// The slave broke the protocol: the link must be closed. Calls then wait as after any broken link.
    pub fn receive(&mut self, frame: Frame, now: Instant) -> Result<(), LinkError> {
        if !self.linked {
            return Ok(());
        }
        if self.outbox.is_flooded(self.calls.len()) {
            return Err(LinkError::Flood);
        }
        match frame.kind {
            FrameKind::Event | FrameKind::End => return self.receive_chunk(frame, now),
            FrameKind::Accepted => return self.receive_accepted(&frame, now),
            FrameKind::Credit => {
                if let Some(call) = self.calls.get_mut(&frame.call) {
                    call.request.acknowledge(frame.seq)?;
                    call.request.grow_window(frame.aux);
                    Self::enqueue(&mut self.outbox, frame.call, call);
                }
            }
            FrameKind::Catalog => return self.receive_catalog(frame),
            FrameKind::Drain => self.events.push_back(ProxyEvent::Draining),
            FrameKind::Peers => self.events.push_back(ProxyEvent::Peers(frame.payload)),
            FrameKind::Session => self.events.push_back(ProxyEvent::Session(frame.payload)),
            FrameKind::Open | FrameKind::Reply | FrameKind::Cancel | FrameKind::Attach => {
                return Err(LinkError::Unexpected(frame.kind));
            }
        }
        Ok(())
    }

    fn receive_catalog(&mut self, frame: Frame) -> Result<(), LinkError> {
        if self.skips_catalog {
            self.skips_catalog = frame.flags.has(Flags::MORE);
            self.catalog.skip(&frame)?;
        } else if let Some(whole) = self.catalog.push(frame)? {
            self.events.push_back(ProxyEvent::Catalog(whole.message));
        }
        Ok(())
    }

    fn receive_accepted(&mut self, frame: &Frame, now: Instant) -> Result<(), LinkError> {
        let Some(call) = self.calls.get_mut(&frame.call) else { return Ok(()) };
        if frame.seq < call.open_end {
            return Err(LinkError::Unexpected(FrameKind::Accepted));
        }
        call.accepted = true;
        match call.location {
            CallLocation::Attaching => {
                call.request.rewind(frame.seq)?;
                call.request.acknowledge(frame.seq)?;
                call.location = CallLocation::OnLink;
                self.stats.resumed += 1;
                // The slave may be waiting for credit of what the reader took since `attach` was sent.
                if call.acknowledged > call.credited {
                    self.outbox.enqueue_control(call.credit_frame(frame.call));
                }
            }
            CallLocation::OnLink => {
                call.request.acknowledge(frame.seq)?;
                // Sent again, the frame is the backend's sign of life. An ended call has no time limit to be put off.
                if !call.ended {
                    call.fails_at = call.deadlines.map(|deadlines| deadlines.next(now));
                }
            }
            CallLocation::Detached => return Err(LinkError::Unexpected(FrameKind::Accepted)),
        }
        Self::enqueue(&mut self.outbox, frame.call, call);
        Ok(())
    }

    fn receive_chunk(&mut self, frame: Frame, now: Instant) -> Result<(), LinkError> {
        let id = frame.call;
        let Some(call) = self.calls.get_mut(&id) else {
            self.events.push_back(ProxyEvent::UnknownCall(frame.kind));
            return Ok(());
        };
        if frame.kind == FrameKind::End && frame.flags.has(Flags::GONE) {
            self.receive_gone(id, frame.flags);
            return Ok(());
        }
        Self::check_chunk(call, &frame)?;
        let bytes = frame.payload.len();
        if !call.is_being_sent() {
            // Only a slave that has all of the `open` sends chunks: it need not be kept.
            call.request.acknowledge(call.open_end)?;
        }
        call.next += 1;
        call.unread_bytes += bytes;
        call.unread_since.get_or_insert(now);
        call.accepted = true;
        call.partial = frame.flags.has(Flags::MORE).then_some(frame.kind);
        call.ended = frame.kind == FrameKind::End && call.partial.is_none();
        if call.ended {
            call.request.drop_unsent();
        }
        call.fails_at = call.deadlines.map(|deadlines| deadlines.next(now));
        Self::enqueue(&mut self.outbox, id, call);
        if call.reader == Reader::Gone {
            let next = call.next;
            self.acknowledge(id, next, bytes, now);
        } else if let Some(event) = ResponseEvent::from_frame(frame) {
            call.sink.on_event(event);
        }
        Ok(())
    }

    fn check_chunk(call: &Call<S>, frame: &Frame) -> Result<(), LinkError> {
        // An end before all of the `open` was sent is a refusal; an event cannot come before that.
        let early_event = call.is_being_sent() && frame.kind == FrameKind::Event;
        if call.ended || call.location != CallLocation::OnLink || early_event {
            return Err(LinkError::Unexpected(frame.kind));
        }
        if frame.seq != call.next {
            return Err(ReassemblyError::Gap { expected: call.next, found: frame.seq }.into());
        }
        if call.partial.is_some_and(|kind| kind != frame.kind) {
            return Err(ReassemblyError::Mixed(frame.kind).into());
        }
        let window = call.window.bytes();
        let fits = call.unread_bytes + frame.payload.len() <= window;
        if !fits || call.next - call.acknowledged >= MAX_CHUNKS_UNDER_WAY {
            return Err(LinkError::Overrun { window });
        }
        Ok(())
    }

    /// Ends a call that the slave does not have. The call never ran, unless the slave sent something of it before or says
    /// that it gave the call up.
    fn receive_gone(&mut self, id: CallId, flags: Flags) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        self.stats.gone += u64::from(call.location == CallLocation::Attaching);
        if call.accepted || flags.has(Flags::ERROR) {
            call.fail(Failure::OutcomeUnknown);
        } else {
            call.report_unsent();
        }
    }
}
