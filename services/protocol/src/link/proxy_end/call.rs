//! One call as the proxy keeps it. Knows neither link nor other calls.

use std::time::{Duration, Instant};

use super::sink::Sink;
use crate::link::call::ResponseEvent;
use crate::link::frame::FrameKind;
use crate::link::ids::Seq;
use crate::link::journal::Journal;
use crate::link::limits::MAX_CHUNKS_UNDER_WAY;
use crate::mcp::failure::Failure;

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Longest silence: every event starts it anew.
    pub silence: Duration,
    /// When the call is given up though it is not silent.
    pub last: Instant,
}

/// Whether anybody wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Parts go to the sink.
    Listening,
    /// What comes is taken and dropped.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Chunks flow.
    Link,
    /// No link: waiting for the slave to come back.
    Nothing,
    /// `attach` was sent, `accepted` is due.
    Attaching,
}

pub(super) struct Call<S> {
    pub(super) sink: S,
    pub(super) reader: Reader,
    pub(super) patience: Option<Deadlines>,
    pub(super) up: Journal,
    pub(super) open_end: Seq,
    pub(super) carrier: Carrier,
    pub(super) queued: bool,
    /// The slave is known to have the call.
    pub(super) accepted: bool,
    /// Kind of the message whose first chunks are there.
    pub(super) within: Option<FrameKind>,
    /// Next chunk due from the slave.
    pub(super) next: Seq,
    /// Every chunk below was taken by the reader.
    pub(super) taken: Seq,
    /// Bytes received and not taken by the reader.
    pub(super) untaken: usize,
    /// What the slave was last told that `taken` is.
    pub(super) credited: Seq,
    /// Bytes taken since credit was last sent.
    pub(super) uncredited: usize,
    pub(super) ended: bool,
    pub(super) give_up: Option<Instant>,
}

impl<S: Sink> Call<S> {
    /// Whether so much was taken since the last credit that the slave should hear of it.
    pub(super) fn owes_credit(&self, window: usize) -> bool {
        let chunks = self.taken - self.credited;
        self.uncredited >= window / 4 || chunks >= MAX_CHUNKS_UNDER_WAY / 4
    }

    /// The position to tell the slave.
    pub(super) fn credit(&mut self) -> Seq {
        self.uncredited = 0;
        self.credited = self.taken;
        self.taken
    }

    /// Ends the call for its reader, unless it has ended for it already.
    pub(super) fn fail(&mut self, failure: Failure) {
        if !self.ended && self.reader == Reader::Listening {
            self.sink.part(ResponseEvent::Failed(failure));
        }
    }

    pub(super) fn unsent(&mut self) {
        if !self.ended && self.reader == Reader::Listening {
            self.sink.unsent();
        }
    }
}
