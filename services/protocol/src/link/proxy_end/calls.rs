//! What the owner of the proxy's end does with calls: opens, limits, acknowledges, cancels and abandons them.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::call::{Call, Carrier, Deadlines, Reader};
use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, Seq};
use crate::link::journal::{Journal, MessageHeader};
use crate::mcp::failure::Failure;

/// The slave cannot take a call now: there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slave is not linked")]
pub struct NotLinked;

/// How often calls are looked over for those that took too long.
const LOOK: Duration = Duration::from_millis(100);

impl<S: Sink> ProxyEnd<S> {
    /// Begins a call: `header` is the JSON call header, `message` the client's.
    ///
    /// `id` must be new. The caller bounds header and message ([`crate::link::limits::MAX_HEADER`], `MAX_BODY_BYTES`).
    pub fn open(&mut self, id: CallId, header: &[u8], message: Bytes, sink: S) -> Result<(), NotLinked> {
        if !self.linked {
            return Err(NotLinked);
        }
        let aux = u16::try_from(header.len()).unwrap_or(u16::MAX);
        let heading = MessageHeader { kind: FrameKind::Open, flags: Flags::NONE, aux };
        let mut up = Journal::new(&self.up_limits);
        // One copy of a small message buys one frame; a long one keeps its memory and follows its header.
        if message.len() <= self.up_limits.chunk.saturating_sub(header.len()) {
            let mut whole = BytesMut::with_capacity(header.len() + message.len());
            whole.extend_from_slice(header);
            whole.extend_from_slice(&message);
            up.write(heading, whole.freeze());
        } else {
            up.write(MessageHeader { flags: Flags::MORE, ..heading }, Bytes::copy_from_slice(header));
            up.write(heading, message);
        }
        let call = Call {
            sink,
            reader: Reader::Listening,
            patience: None,
            open_end: up.next(),
            up,
            carrier: Carrier::Link,
            queued: true,
            accepted: false,
            within: None,
            next: 0,
            taken: 0,
            untaken: 0,
            credited: 0,
            uncredited: 0,
            ended: false,
            give_up: None,
        };
        self.calls.insert(id, call);
        self.outbox.ready(id);
        Ok(())
    }

    /// Gives a call so much time from now; without this it has no limit.
    pub fn set_deadline(&mut self, id: CallId, patience: Deadlines, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.patience = Some(patience);
            call.give_up = Some(patience.last.min(now + patience.silence));
            self.look_at.get_or_insert(now + LOOK);
        }
    }

    /// Fails the calls that took too long; the slave is told to stop them. Call at [`ProxyEnd::poll_timeout`].
    /// Returns how many there were.
    pub fn time_out(&mut self, now: Instant) -> usize {
        if self.look_at.is_none_or(|at| at > now) {
            return 0;
        }
        let due = |call: &Call<S>| call.give_up.is_some_and(|at| at <= now);
        let mut late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| due(call)).map(|(id, _)| *id).collect();
        late.sort_unstable();
        let mut failed = 0;
        for id in late {
            if let Some(call) = self.calls.get_mut(&id) {
                // One that has ended waits for its reader alone: the slave may forget it.
                failed += usize::from(!call.ended);
                call.fail(Failure::Timeout);
            }
            self.cancel(id);
        }
        self.look_at = (!self.calls.is_empty()).then_some(now + LOOK);
        failed
    }

    /// Ends a call from this side. Nothing more is delivered; the slave is told, if need be when it is back.
    pub fn cancel(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        if call.up.sent() == 0 {
            return;
        }
        if self.linked {
            self.outbox.control(Frame::bare(FrameKind::Cancel, id, 0));
        } else {
            self.cancels.push(id);
        }
    }

    /// Nobody reads the answer any more, but the call is to run to its end.
    pub fn abandon(&mut self, id: CallId, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.reader = Reader::Gone;
            let (bytes, next) = (call.untaken, call.next);
            self.taken(id, next, bytes, now);
        }
    }

    /// The reader has taken every chunk below `seq`, `bytes` more than at the last time: the slave may send as much again.
    pub fn taken(&mut self, id: CallId, seq: Seq, bytes: usize, now: Instant) {
        // A reader may still take what it had when the call was abandoned: that is no news.
        let Some(call) = self.calls.get_mut(&id).filter(|call| seq >= call.taken) else { return };
        call.untaken = call.untaken.saturating_sub(bytes);
        call.uncredited += bytes;
        call.taken = seq;
        let credit = Frame::bare(FrameKind::Credit, id, seq);
        if call.ended && seq == call.next {
            let linked = call.carrier == Carrier::Link;
            self.calls.remove(&id);
            match linked {
                true => self.outbox.lazy(credit, now),
                // The slave keeps the whole of it until it is told to forget.
                false if self.linked => self.outbox.control(Frame::bare(FrameKind::Cancel, id, 0)),
                false => self.cancels.push(id),
            }
        } else if call.owes_credit(self.limits.window) && call.carrier == Carrier::Link {
            call.credit();
            self.outbox.control(credit);
        }
    }
}
