//! Records of every call of the fleet, and the checks of what readers receive against what was written.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::frame::Flags;
use protocol::link::ids::{CallId, Seq};
use protocol::link::proxy_end::Sink;
use protocol::mcp::failure::Failure;

/// One start of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyEpoch {
    pub(crate) proxy: usize,
    pub(crate) epoch: u64,
}

/// End of a call for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// A backend's result or error.
    Answered,
    Failed(Failure),
    /// The proxy ended; a legacy client may resume the call.
    Broken,
    /// The client hung up.
    GivenUp,
}

impl CallEnd {
    /// Returns whether the outcome means that nobody ran the call.
    fn denies(&self) -> bool {
        matches!(self, Self::Failed(Failure::NoSlave | Failure::NoSlaveForTool { .. } | Failure::Draining))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed(failure) => failure.spec().kind,
            Self::Broken => "broken",
            Self::GivenUp => "given_up",
        }
    }
}

/// Message that a backend wrote.
pub(crate) struct Written {
    pub(crate) end: bool,
    pub(crate) flags: Flags,
    pub(crate) body: Bytes,
}

/// Record of one call of a client, on however many slaves it is tried.
pub(crate) struct CallRecord {
    pub(crate) message: Bytes,
    /// Time by which the call must have ended, not counting the pauses of its proxy.
    pub(crate) limit: Duration,
    /// Proxy that has the call.
    pub(crate) at: ProxyEpoch,
    /// How long that proxy had been paused when the call began.
    pub(crate) paused: Duration,
    /// Id and slave process of the current try.
    pub(crate) call: CallId,
    pub(crate) slave: Option<u64>,
    pub(crate) moves: u32,
    pub(crate) retry_until: Option<Duration>,
    pub(crate) runs: u32,
    pub(crate) written: Vec<Written>,
    pub(crate) unread: VecDeque<(Seq, usize)>,
    pub(crate) reading: bool,
    pub(crate) next: Seq,
    pub(crate) outcome: Option<CallEnd>,
    whole: usize,
    partial: Vec<u8>,
}

/// Notice from a sink that the simulation must act on.
pub(crate) enum Notice {
    Readable(u64),
    Unsent(u64),
}

/// Records of all calls of a run.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) calls: BTreeMap<u64, CallRecord>,
    pub(crate) open: BTreeSet<u64>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

pub(crate) type SharedRecords = Rc<RefCell<Records>>;

/// Sink of one try.
pub(crate) struct RecordingSink {
    pub(crate) no: u64,
    pub(crate) call: CallId,
    pub(crate) records: SharedRecords,
}

impl Sink for RecordingSink {
    fn on_event(&mut self, event: ResponseEvent) {
        self.records.borrow_mut().on_event(self.no, self.call, &event);
    }

    fn on_unsent(&mut self) {
        let mut records = self.records.borrow_mut();
        let record = records.record(self.no);
        assert_eq!((record.call, &record.outcome), (self.call, &None), "{}: unsent after its end", self.no);
        assert_eq!((record.runs, record.next), (0, 0), "{}: unsent, but it ran", self.no);
        records.notices.push(Notice::Unsent(self.no));
    }
}

impl CallRecord {
    pub(crate) fn new(message: Bytes, at: ProxyEpoch, limit: Duration) -> Self {
        Self {
            message,
            limit,
            at,
            paused: Duration::ZERO,
            call: CallId::LINK,
            slave: None,
            moves: 0,
            retry_until: None,
            runs: 0,
            written: Vec::new(),
            unread: VecDeque::new(),
            reading: false,
            next: 0,
            outcome: None,
            whole: 0,
            partial: Vec::new(),
        }
    }

    /// Takes one chunk. Returns the message that was written if that is complete now.
    fn take(&mut self, no: u64, seq: Seq, more: bool, payload: &Bytes, end: bool) -> Option<&Written> {
        assert_eq!(seq, self.next, "{no}: lost or doubled chunk");
        self.next += 1;
        self.unread.push_back((seq, payload.len()));
        self.partial.extend_from_slice(payload);
        let written = self.written.get(self.whole).unwrap_or_else(|| panic!("{no}: nobody wrote this"));
        assert_eq!(written.end, end, "{no}: message {} is of another kind", self.whole);
        assert!(written.body.starts_with(&self.partial), "{no}: message {} came out altered", self.whole);
        if more {
            return None;
        }
        assert_eq!(written.body.len(), self.partial.len(), "{no}: message {} is cut short", self.whole);
        self.partial.clear();
        self.whole += 1;
        Some(written)
    }
}

impl Records {
    pub(crate) fn record(&mut self, no: u64) -> &mut CallRecord {
        self.calls.get_mut(&no).expect("a call that was made")
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Takes a part or a failure for the reader of this try.
    pub(crate) fn on_event(&mut self, no: u64, call: CallId, part: &ResponseEvent) {
        let record = self.record(no);
        assert_eq!(record.call, call, "{no}: a response to a try that was given up");
        let came_back = record.outcome == Some(CallEnd::Broken);
        assert!(record.outcome.is_none() || came_back, "{no}: {part:?} follows {:?}", record.outcome);
        let (end, more, seq, payload) = match part {
            ResponseEvent::Event { seq, more, payload, .. } => (false, *more, *seq, payload),
            ResponseEvent::End { seq, more, payload, .. } => (true, *more, *seq, payload),
            ResponseEvent::Failed(failure) => return self.finish(no, CallEnd::Failed(failure.clone())),
        };
        if let Some(written) = record.take(no, seq, more, payload, end) {
            let flagged = matches!(
                part,
                ResponseEvent::Event { request: true, .. } | ResponseEvent::End { error: true, .. }
            );
            assert_eq!(flagged, written.flags != Flags::NONE, "{no}: another flag than was written");
        }
        self.notices.push(Notice::Readable(no));
        if end && !more {
            self.record(no).outcome = None;
            self.finish(no, CallEnd::Answered);
        }
    }

    /// Ends the call for its client, once.
    pub(crate) fn finish(&mut self, no: u64, outcome: CallEnd) {
        self.count(outcome.name());
        self.open.remove(&no);
        let record = self.record(no);
        assert_eq!(record.outcome, None, "{no}: {outcome:?} is its second end");
        match outcome {
            CallEnd::Answered => assert_eq!(record.runs, 1, "{no}: answered"),
            _ if outcome.denies() => assert_eq!(record.runs, 0, "{no}: {outcome:?}, but it ran"),
            _ => {}
        }
        record.outcome = Some(outcome);
    }

    /// Records that a slave starts the call, which must be its first run and must not have been denied.
    pub(crate) fn start(&mut self, no: u64, call: CallId, message: &Bytes) {
        self.count("runs");
        let record = self.record(no);
        assert_eq!(record.runs, 0, "{no}: runs a second time");
        assert_eq!(record.call, call, "{no}: a try that was given up starts");
        assert_eq!(&record.message, message, "{no}: its message came out altered");
        assert!(
            !record.outcome.as_ref().is_some_and(CallEnd::denies),
            "{no}: starts after {:?}",
            record.outcome
        );
        record.runs = 1;
    }
}
