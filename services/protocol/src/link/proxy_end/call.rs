//! State of one call at the proxy's end. Must not know links or other calls.

use std::time::{Duration, Instant};

use super::sink::Sink;
use crate::link::call::ResponseEvent;
use crate::link::frame::{Flags, Frame, FrameKind};
use crate::link::ids::{CallId, Seq};
use crate::link::journal::Journal;
use crate::link::window::GrantedWindow;
use crate::mcp::failure::Failure;

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Longest time without a chunk or another sign of life from the slave: each starts it anew.
    pub silence_timeout: Duration,
    /// When the call fails whatever the slave sends.
    pub total_deadline: Instant,
}

impl Deadlines {
    /// Returns when the call fails if nothing comes after `now`.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.total_deadline.min(now + self.silence_timeout)
    }
}

/// Whether anybody wants the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Events go to the sink.
    Listening,
    /// Chunks are acknowledged and dropped.
    Gone,
}

/// Where the call is with regard to the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallLocation {
    /// On the link: chunks flow.
    OnLink,
    /// No link: the call waits for the slave to come back.
    Detached,
    /// `attach` was sent, `accepted` is due.
    Attaching,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
pub(super) struct Call<S> {
    pub(super) sink: S,
    pub(super) reader: Reader,
    pub(super) deadlines: Option<Deadlines>,
    /// When the call fails unless something comes.
    pub(super) fails_at: Option<Instant>,
    /// The `open`, until the slave is known to have it.
    pub(super) request: Journal,
    /// Number of the chunk after the last of the `open`.
    pub(super) open_end: Seq,
    pub(super) location: CallLocation,
    /// The call stands in the outbox.
    pub(super) queued: bool,
    /// The slave is known to have the call.
    pub(super) accepted: bool,
    /// Kind of the message of which a part has come.
    pub(super) partial: Option<FrameKind>,
    /// Number of the next chunk due from the slave.
    pub(super) next: Seq,
    /// Number of the first chunk that the reader has not taken.
    pub(super) acknowledged: Seq,
    /// Bytes received and not taken by the reader.
    pub(super) unread_bytes: usize,
    /// Since when the reader has taken nothing though there is something.
    pub(super) unread_since: Option<Instant>,
    /// `acknowledged` as the slave was last told.
    pub(super) credited: Seq,
    /// Bytes taken by the reader since credit was last sent.
    pub(super) uncredited: usize,
    /// What the slave may send and the reader has not taken.
    pub(super) window: GrantedWindow,
    /// The last chunk of the `end` has come.
    pub(super) ended: bool,
    /// The client cannot come back to the call: the slave is told so by the frame that ends it.
    pub(super) forget: bool,
}

impl<S: Sink> Call<S> {
    pub(super) fn new(sink: S, request: Journal, window: GrantedWindow) -> Self {
        Self {
            sink,
            reader: Reader::Listening,
            deadlines: None,
            fails_at: None,
            open_end: request.next(),
            request,
            location: CallLocation::OnLink,
            queued: true,
            accepted: false,
            partial: None,
            next: 0,
            acknowledged: 0,
            unread_bytes: 0,
            unread_since: None,
            credited: 0,
            uncredited: 0,
            window,
            ended: false,
            forget: false,
        }
    }

    /// Returns the `cancel` of the call.
    pub(super) fn cancel_frame(&mut self, id: CallId) -> Frame {
        // Where the reader is gone it has said so itself.
        self.forget |= self.reader == Reader::Listening && !self.sink.may_return();
        self.last_frame(FrameKind::Cancel, id, 0)
    }

    /// Returns the frame that tells the slave that this proxy is done with the call.
    pub(super) fn last_frame(&self, kind: FrameKind, id: CallId, seq: Seq) -> Frame {
        let flags = if self.forget { Flags::FORGET } else { Flags::NONE };
        Frame { flags, ..Frame::bare(kind, id, seq) }
    }

    /// Returns whether not all of the `open` was sent.
    pub(super) fn is_being_sent(&self) -> bool {
        self.request.sent() < self.open_end
    }

    /// Returns whether so much was taken since the last credit that the slave must be told.
    pub(super) fn owes_credit(&self) -> bool {
        self.window.owes_credit(self.uncredited, self.acknowledged - self.credited)
    }

    /// Returns whether the slave could send faster if the call had a larger window.
    pub(super) fn is_window_short(&mut self, trip: Option<Duration>, now: Instant) -> bool {
        self.window.is_short(self.uncredited, self.unread_bytes, trip, now)
    }

    /// Returns the credit for what was taken, which counts as sent.
    pub(super) fn credit_frame(&mut self, id: CallId) -> Frame {
        self.uncredited = 0;
        self.credited = self.acknowledged;
        Frame { aux: self.window.doublings(), ..Frame::bare(FrameKind::Credit, id, self.acknowledged) }
    }

    /// Ends the call for its reader with a failure, unless it has ended.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.has_reader() {
            self.sink.on_event(ResponseEvent::Failed(failure));
        }
    }

    /// Tells the reader that the call may go to another slave, unless it has ended.
    pub(super) fn report_unsent(&mut self) {
        if self.has_reader() {
            self.sink.on_unsent();
        }
    }

    /// Tells the reader that the slave is probably dead, unless the call has ended.
    pub(super) fn report_loss(&mut self) {
        if self.has_reader() {
            self.sink.on_probably_lost();
        }
    }

    fn has_reader(&self) -> bool {
        !self.ended && self.reader == Reader::Listening
    }
}
