//! Records of every call, and the checks of what sinks receive against what was written. Must not know the state of the two ends.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::frame::Flags;
use protocol::link::ids::{CallId, Seq};
use protocol::link::proxy_end::Sink;
use protocol::mcp::failure::Failure;

/// One proxy and one slave, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) proxy: usize,
    pub(crate) slave: usize,
}

/// Operation of the proxy's end during which a sink is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// None of the others.
    Traffic,
    /// `link_down`.
    LinkDown,
    /// Receiving a frame with `GONE`.
    Gone,
    /// End of the grace, or restart of the slave.
    Lost,
    /// `time_out`.
    TimeOut,
}

/// End of a call for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Ended,
    Failed(Failure),
    Unsent,
}

/// State of a call at its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    NotStarted,
    Running,
    /// Running, and told to write nothing for now.
    Waiting,
    Done,
}

impl Work {
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Waiting)
    }
}

/// State of a call's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Waits,
    Cancelled,
    Abandoned,
}

/// Message that a backend wrote.
pub(crate) struct Written {
    pub(crate) end: bool,
    pub(crate) flags: Flags,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// Record of one call (one `open`).
#[allow(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
pub(crate) struct CallRecord {
    pub(crate) pair: Pair,
    pub(crate) header: Bytes,
    pub(crate) message: Bytes,
    pub(crate) work: Work,
    pub(crate) written: Vec<Written>,
    pub(crate) overflowed: bool,
    /// The slave's end gave the call up to make room.
    pub(crate) gave_up: bool,
    pub(crate) unread: VecDeque<(Seq, usize)>,
    pub(crate) outcome: Option<CallEnd>,
    pub(crate) reader: Reader,
    /// The call has deadlines: the proxy may end it.
    pub(crate) limited: bool,
    pub(crate) reopened: bool,
    /// The slave's owner retains what the call writes.
    pub(crate) retained: bool,
    /// The proxy's owner said that the client cannot come back.
    pub(crate) forgotten: bool,
    /// The slave's owner was told that the proxy is done with the call.
    pub(crate) released: bool,
    next: Seq,
    whole: usize,
    partial: Vec<u8>,
    partial_is_end: Option<bool>,
}

/// Records of all calls of a run.
pub(crate) struct Records {
    pub(crate) calls: BTreeMap<CallId, CallRecord>,
    pub(crate) cause: Cause,
}

pub(crate) type SharedRecords = Rc<RefCell<Records>>;

/// Sink of one call.
pub(crate) struct RecordingSink {
    pub(crate) call: CallId,
    pub(crate) records: SharedRecords,
}

impl Sink for RecordingSink {
    fn on_event(&mut self, event: ResponseEvent) {
        let mut records = self.records.borrow_mut();
        let cause = records.cause;
        let record = records.calls.get_mut(&self.call).expect("a call that was opened");
        record.on_event(self.call, &event, cause);
    }

    fn on_unsent(&mut self) {
        let mut records = self.records.borrow_mut();
        let cause = records.cause;
        let record = records.calls.get_mut(&self.call).expect("a call that was opened");
        record.check_may_receive(self.call);
        assert!(matches!(cause, Cause::LinkDown | Cause::Gone), "{:?}: unsent by {cause:?}", self.call);
        assert_eq!(record.work, Work::NotStarted, "{:?}: unsent, but it was started", self.call);
        assert_eq!(record.next, 0, "{:?}: unsent after something was received", self.call);
        record.outcome = Some(CallEnd::Unsent);
    }
}

impl CallRecord {
    pub(crate) fn new(pair: Pair, header: Bytes, message: Bytes) -> Self {
        Self {
            pair,
            header,
            message,
            work: Work::NotStarted,
            written: Vec::new(),
            overflowed: false,
            gave_up: false,
            unread: VecDeque::new(),
            outcome: None,
            reader: Reader::Waits,
            limited: false,
            reopened: false,
            retained: false,
            forgotten: false,
            released: false,
            next: 0,
            whole: 0,
            partial: Vec::new(),
            partial_is_end: None,
        }
    }

    /// Returns whether the reader still waits.
    pub(crate) fn is_open(&self) -> bool {
        self.outcome.is_none() && self.reader == Reader::Waits
    }

    fn check_may_receive(&self, id: CallId) {
        assert_eq!(self.outcome, None, "{id:?}: something follows the end");
        assert_eq!(self.reader, Reader::Waits, "{id:?}: something follows the cancellation");
    }

    fn on_event(&mut self, id: CallId, part: &ResponseEvent, cause: Cause) {
        self.check_may_receive(id);
        let (end, more, seq, payload) = match part {
            ResponseEvent::Event { seq, more, payload, .. } => (false, *more, *seq, payload),
            ResponseEvent::End { seq, more, payload, .. } => (true, *more, *seq, payload),
            ResponseEvent::Failed(failure) => {
                let allowed = match failure {
                    Failure::OutcomeUnknown => matches!(cause, Cause::Lost | Cause::Gone),
                    Failure::Timeout => cause == Cause::TimeOut,
                    _ => false,
                };
                assert!(allowed, "{id:?}: {failure:?} by {cause:?}");
                self.outcome = Some(CallEnd::Failed(failure.clone()));
                return;
            }
        };
        assert_eq!(seq, self.next, "{id:?}: lost or doubled chunk");
        assert!(
            self.partial_is_end.is_none_or(|kind| kind == end),
            "{id:?}: a part of another message between"
        );
        self.next += 1;
        self.unread.push_back((seq, payload.len()));
        self.partial_is_end = more.then_some(end);
        self.partial.extend_from_slice(payload);
        self.check_content(id, part);
        if !more {
            self.whole += 1;
            self.partial.clear();
            if end {
                self.outcome = Some(CallEnd::Ended);
            }
        }
    }

    fn check_content(&self, id: CallId, part: &ResponseEvent) {
        if self.gave_up && matches!(part, ResponseEvent::End { error: true, .. }) {
            // In place of what was written and not sent.
            assert!(self.partial_is_end.is_some() || self.may_be_refused() || !self.written.is_empty());
            return;
        }
        let Some(written) = self.written.get(self.whole).filter(|w| w.is_like(part)) else {
            // An end that the slave's end wrote is known by its text, once all of that has come.
            let whole = self.partial_is_end.is_none();
            let excused =
                matches!(part, ResponseEvent::End { error: true, .. }) && (!whole || self.may_be_refused());
            assert!(excused, "{id:?}: message {} was never written: {part:?}", self.whole);
            return;
        };
        let matches = match self.partial_is_end {
            Some(_) => written.body.starts_with(&self.partial),
            None => written.body == self.partial[..],
        };
        assert!(matches, "{id:?}: message {} came out altered", self.whole);
    }

    /// Returns whether the slave's end may have written this end: a refusal before the start, or a full journal.
    fn may_be_refused(&self) -> bool {
        let text = String::from_utf8_lossy(&self.partial);
        let has_kind = |kind: &str| text.contains(&format!("\"kind\":\"{kind}\""));
        match self.work {
            Work::NotStarted => has_kind("busy") || has_kind("body_too_large"),
            _ => self.overflowed && has_kind("result_too_large"),
        }
    }
}

impl Written {
    fn is_like(&self, part: &ResponseEvent) -> bool {
        match part {
            ResponseEvent::Event { request, .. } => !self.end && self.flags.has(Flags::REQUEST) == *request,
            ResponseEvent::End { error, tool_error, status, .. } => {
                self.end
                    && self.flags.has(Flags::ERROR) == *error
                    && self.flags.has(Flags::TOOL_ERROR) == *tool_error
                    && self.status == *status
            }
            ResponseEvent::Failed(_) => false,
        }
    }
}
