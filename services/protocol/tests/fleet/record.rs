//! What is known of every call of the fleet: who ran it, what was written, what its reader received. The judge.

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

/// How a call ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With what a backend wrote.
    Answered,
    Failed(Failure),
    /// The proxy went away; a legacy client may come back for it.
    Broken,
    /// The client hung up.
    GivenUp,
}

impl Outcome {
    /// Whether it says that nobody has run the call.
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

/// One message that the slave wrote.
pub(crate) struct Written {
    pub(crate) end: bool,
    pub(crate) flags: Flags,
    pub(crate) body: Bytes,
}

/// One call of a client, however many slaves it is tried on.
pub(crate) struct CallRecord {
    pub(crate) message: Bytes,
    /// By which time it must have ended, the pauses of its proxy not counted.
    pub(crate) limit: Duration,
    /// Proxy and its life.
    pub(crate) at: (usize, u64),
    /// How long that proxy had been paused when the call began.
    pub(crate) paused: Duration,
    /// Under which name and on which slave process it is tried now.
    pub(crate) call: CallId,
    pub(crate) slave: Option<u64>,
    pub(crate) moves: u32,
    pub(crate) retry_until: Option<Duration>,
    pub(crate) runs: u32,
    pub(crate) written: Vec<Written>,
    pub(crate) unread: VecDeque<(Seq, usize)>,
    pub(crate) reading: bool,
    pub(crate) next: Seq,
    pub(crate) outcome: Option<Outcome>,
    whole: usize,
    partial: Vec<u8>,
}

/// What a sink received and the world must act on.
pub(crate) enum Notice {
    Readable(u64),
    Unsent(u64),
}

/// All calls of a run.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) calls: BTreeMap<u64, CallRecord>,
    pub(crate) open: BTreeSet<u64>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

pub(crate) type SharedRecords = Rc<RefCell<Records>>;

/// The reader of one attempt.
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
        assert_eq!((record.runs, record.next), (0, 0), "{}: called unsent, but it ran", self.no);
        records.notices.push(Notice::Unsent(self.no));
    }
}

impl CallRecord {
    pub(crate) fn new(message: Bytes, at: (usize, u64), limit: Duration) -> Self {
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

    /// Takes one chunk; whether a whole message is there, and which.
    fn take(&mut self, no: u64, (seq, more, payload): (Seq, bool, &Bytes), end: bool) -> Option<&Written> {
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

    /// A chunk or a failure reaches the reader of this attempt.
    pub(crate) fn on_event(&mut self, no: u64, call: CallId, part: &ResponseEvent) {
        let record = self.record(no);
        assert_eq!(record.call, call, "{no}: an answer to an attempt that was given up");
        let came_back = record.outcome == Some(Outcome::Broken);
        assert!(record.outcome.is_none() || came_back, "{no}: {part:?} follows {:?}", record.outcome);
        let (end, more, seq, payload) = match part {
            ResponseEvent::Event { seq, more, payload, .. } => (false, *more, *seq, payload),
            ResponseEvent::End { seq, more, payload, .. } => (true, *more, *seq, payload),
            ResponseEvent::Failed(failure) => return self.finish(no, Outcome::Failed(failure.clone())),
        };
        if let Some(written) = record.take(no, (seq, more, payload), end) {
            let flagged = matches!(
                part,
                ResponseEvent::Event { request: true, .. } | ResponseEvent::End { error: true, .. }
            );
            assert_eq!(flagged, written.flags != Flags::NONE, "{no}: another flag than was written");
        }
        self.notices.push(Notice::Readable(no));
        if end && !more {
            self.record(no).outcome = None;
            self.finish(no, Outcome::Answered);
        }
    }

    /// The call ends for its client: once.
    pub(crate) fn finish(&mut self, no: u64, outcome: Outcome) {
        self.count(outcome.name());
        self.open.remove(&no);
        let record = self.record(no);
        assert_eq!(record.outcome, None, "{no}: {outcome:?} is its second end");
        match outcome {
            Outcome::Answered => assert_eq!(record.runs, 1, "{no}: answered"),
            _ if outcome.denies() => assert_eq!(record.runs, 0, "{no}: {outcome:?}, but it ran"),
            _ => {}
        }
        record.outcome = Some(outcome);
    }

    /// A slave starts the call: nobody else has, and nobody was told that it will not run.
    pub(crate) fn start(&mut self, no: u64, call: CallId, message: &Bytes) {
        self.count("runs");
        let record = self.record(no);
        assert_eq!(record.runs, 0, "{no}: runs a second time");
        assert_eq!(record.call, call, "{no}: an attempt that was given up starts");
        assert_eq!(&record.message, message, "{no}: its message came out altered");
        assert!(
            !record.outcome.as_ref().is_some_and(Outcome::denies),
            "{no}: starts after {:?}",
            record.outcome
        );
        record.runs = 1;
    }
}
