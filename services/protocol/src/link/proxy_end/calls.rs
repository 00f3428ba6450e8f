//! Operations of the owner on calls: open, limit, acknowledge, cancel and abandon. Must not know sockets.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::call::{Call, CallLocation, Deadlines, Reader};
use super::sink::Sink;
use super::state::ProxyEnd;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, Seq};
use crate::link::journal::{Journal, MessageHeader};
use crate::link::window::{FAR_DOUBLINGS, GrantedWindow, LONG_TRIP, MAX_FAR_CALLS, MAX_GRANTED, doubled};
use crate::mcp::failure::Failure;

/// The slave cannot take a call now: there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slave is not linked")]
pub struct NotLinked;

/// Time between two checks for calls that took too long: a call fails at most so much later than it could.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Longest message, in bytes, that is copied behind its header.
const MAX_JOINED: usize = 16 * 1024;

impl<S: Sink> ProxyEnd<S> {
    /// Begins a call: `header` is the JSON call header, `message` the client's request.
    ///
    /// `id` must be new. The caller bounds header and message ([`crate::link::limits::MAX_HEADER`], `MAX_BODY_BYTES`).
    ///
    /// # Errors
    /// There is no link; the sink learns nothing.
    pub fn open(&mut self, id: CallId, header: &[u8], message: Bytes, sink: S) -> Result<(), NotLinked> {
        if !self.linked {
            return Err(NotLinked);
        }
        let aux = u16::try_from(header.len()).unwrap_or(u16::MAX);
        let mut window = GrantedWindow::new(self.limits.window);
        let mut request = Journal::new(&self.request_limits);
        let is_far = self.begins_far();
        if is_far {
            window.begin_far();
            request.grow_window(FAR_DOUBLINGS);
        }
        let flags = if is_far { Flags::FAR } else { Flags::NONE };
        let chunk = MessageHeader { kind: FrameKind::Open, flags, aux };
        // Copying a small message saves a frame; a long one keeps its memory and follows its header.
        let room = self.request_limits.chunk.saturating_sub(header.len());
        if message.len() <= room.min(MAX_JOINED) {
            let mut whole = BytesMut::with_capacity(header.len() + message.len());
            whole.extend_from_slice(header);
            whole.extend_from_slice(&message);
            request.write(chunk, whole.freeze());
        } else {
            request.write(
                MessageHeader { flags: flags.with(Flags::MORE), ..chunk },
                Bytes::copy_from_slice(header),
            );
            request.write(chunk, message);
        }
        self.calls.insert(id, Call::new(sink, request, window));
        self.outbox.enqueue_call(id);
        Ok(())
    }

    /// Returns whether a new call begins with the windows of a long way: few others are under way, and not too much was granted to them.
    fn begins_far(&self) -> bool {
        self.trip.is_some_and(|trip| trip >= LONG_TRIP)
            && self.calls.len() < MAX_FAR_CALLS
            && self.granted() + doubled(self.limits.window, FAR_DOUBLINGS) <= MAX_GRANTED
    }

    /// Limits the time of a call from now on; without this it has no limit.
    pub fn set_deadline(&mut self, id: CallId, deadlines: Deadlines, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.deadlines = Some(deadlines);
            call.fails_at = Some(deadlines.next(now));
            self.next_timeout_check.get_or_insert(now + TIMEOUT_CHECK_INTERVAL);
        }
    }

    /// Fails the calls that took too long and tells the slave to stop them. To be called at [`ProxyEnd::poll_timeout`].
    /// Returns how many there were.
    pub fn time_out(&mut self, now: Instant) -> usize {
        if self.next_timeout_check.is_none_or(|at| at > now) {
            return 0;
        }
        let is_late = |call: &Call<S>| call.fails_at.is_some_and(|at| at <= now);
        let mut late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| is_late(call)).map(|(id, _)| *id).collect();
        late.sort_unstable();
        let mut failed = 0;
        for id in late {
            if let Some(call) = self.calls.get_mut(&id) {
                // A call that has ended waits for its reader alone and has not failed: the slave may forget it.
                failed += usize::from(!call.ended);
                call.fail(Failure::Timeout);
            }
            self.cancel(id);
        }
        self.next_timeout_check = (!self.calls.is_empty()).then_some(now + TIMEOUT_CHECK_INTERVAL);
        failed
    }

    /// Cancels a call: nothing more is delivered. The slave gets a `cancel`, now or when it is back.
    pub fn cancel(&mut self, id: CallId) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        if call.request.sent() > 0 {
            let cancel = call.cancel_frame(id);
            self.send_cancel(cancel);
        }
    }

    /// Says that the client of a call has no event ids, so that it cannot come back to what it missed: the slave need keep nothing of
    /// the call. To be told before the end is acknowledged or the call is abandoned.
    pub fn forget(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.forget = true;
        }
    }

    /// Lets a call run to its end without a reader.
    pub fn abandon(&mut self, id: CallId, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.reader = Reader::Gone;
            let (bytes, next) = (call.unread_bytes, call.next);
            self.acknowledge(id, next, bytes, now);
        }
    }

    /// Records that the reader has taken every chunk below `seq`, `bytes` more than at the last time: the slave may send as
    /// much again. Positions older than the last one are ignored.
    pub fn acknowledge(&mut self, id: CallId, seq: Seq, bytes: usize, now: Instant) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| seq >= call.acknowledged) else { return };
        call.unread_bytes = call.unread_bytes.saturating_sub(bytes);
        call.unread_since = (seq < call.next).then_some(now);
        call.uncredited += bytes;
        call.acknowledged = seq;
        let on_link = call.location == CallLocation::OnLink;
        if call.ended && seq == call.next {
            let (credit, cancel) =
                (call.last_frame(FrameKind::Credit, id, seq), call.last_frame(FrameKind::Cancel, id, 0));
            self.calls.remove(&id);
            if on_link {
                self.outbox.enqueue_delayed(credit, now);
            } else {
                // The slave keeps all of the call until it is told to forget it.
                self.send_cancel(cancel);
            }
        } else if on_link && !call.ended && call.owes_credit() {
            let is_short = call.is_window_short(self.trip, now);
            self.send_credit(id, is_short);
        }
    }

    /// Sends a call's credit, with a larger window if that would help and the calls of this slave were not granted too much.
    fn send_credit(&mut self, id: CallId, is_short: bool) {
        let granted = if is_short { self.granted() } else { 0 };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if is_short && granted + call.window.bytes() <= MAX_GRANTED {
            call.window.grow();
        }
        self.outbox.enqueue_control(call.credit_frame(id));
    }

    /// Returns the number of calls whose readers have taken nothing for so long, though there is something.
    pub fn unread_calls(&self, now: Instant, time: Duration) -> usize {
        let is_unread = |call: &&Call<S>| {
            call.unread_since.is_some_and(|since| now.saturating_duration_since(since) >= time)
        };
        self.calls.values().filter(is_unread).count()
    }

    fn send_cancel(&mut self, cancel: Frame) {
        if self.linked {
            self.outbox.enqueue_control(cancel);
        } else {
            self.pending_cancels.push(cancel);
        }
    }
}
