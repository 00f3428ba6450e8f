//! Attribution of a child's lines that are no message: which requests fail of a line, and what is said of it. Must not know how lines
//! are read.
//!
//! A line that answers a request by its id fails that request. A line that is an answer of no known id fails the only request in
//! flight, if there is only one. Every other line is counted and skipped.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::failure::Failure;

use super::incoming::Incoming;
use super::line_fault::LineFault;
use super::message_sketch::{MessageOwner, MessageSketch};
use super::odd_lines::OddLines;
use super::session::Session;
use crate::backends::redactor::Redactor;
use crate::metrics::{self, DropReason};

/// Bytes of a line that go to the log.
const MAX_LOGGED: usize = 200;

/// Attribution of the lines of one child.
pub(super) struct Attribution {
    session: Arc<Session>,
    redactor: Redactor,
    odd: Arc<OddLines>,
    /// A message that went on behind its line's end.
    open: Option<OpenMessage>,
}

/// A message that is not over.
struct OpenMessage {
    sketch: MessageSketch,
    /// Whether a request failed of it.
    failed: bool,
}

impl Attribution {
    /// Returns the attribution for a session.
    pub(super) fn new(session: Arc<Session>, redactor: Redactor, odd: Arc<OddLines>) -> Self {
        Self { session, redactor, odd, open: None }
    }

    /// Takes a message that could be parsed: what was open before is not continued.
    pub(super) fn on_message(&mut self) {
        self.open = None;
    }

    /// Takes text that is no message.
    pub(super) fn on_noise(&self, line: &Bytes) {
        metrics::record_backend_drop(&self.session.backend, DropReason::Garbage);
        self.odd.record(LineFault::Noise, || format!("skipped: {}", self.excerpt(line)));
    }

    /// Takes a line that cannot be parsed.
    pub(super) fn on_unreadable(&mut self, line: &Bytes) {
        let Some(mut message) = self.message_of(line) else { return self.on_noise(line) };
        let owner = message.sketch.owner();
        let fault =
            if std::str::from_utf8(line).is_err() { LineFault::NotUtf8 } else { message.sketch.fault() };
        match owner {
            MessageOwner::NoRequest => self.on_noise(line),
            _ if message.failed => metrics::record_backend_drop(&self.session.backend, DropReason::Garbage),
            MessageOwner::Requests(ids) => message.failed = self.fail(&ids, fault),
            MessageOwner::Unknown => message.failed = self.fail_only(fault),
        }
        if message.sketch.is_open() {
            self.open = Some(message);
        }
    }

    /// Returns the sketch of the message that the line is, or is a part of; `None` if it is none.
    fn message_of(&mut self, line: &[u8]) -> Option<OpenMessage> {
        let begins = matches!(line.first(), Some(b'{' | b'['));
        let mut message = OpenMessage { sketch: MessageSketch::default(), failed: false };
        if begins {
            message.sketch.feed(line);
        }
        // What looks like a whole message is one, also behind a line that was cut.
        let continued = self.open.take().filter(|_| message.sketch.owner() == MessageOwner::NoRequest);
        let Some(mut open) = continued else { return begins.then_some(message) };
        open.sketch.feed(b"\n");
        open.sketch.feed(line);
        Some(open)
    }

    /// Takes an answer without the id of a request.
    pub(super) fn on_nameless(&self, fault: LineFault) {
        self.fail_only(fault);
    }

    /// Fails these requests. Returns false if none of them waits.
    pub(super) fn fail(&self, ids: &[u64], fault: LineFault) -> bool {
        let fail = |id: &u64| self.session.complete(*id, Incoming::Failed(failure_of(fault)));
        let failed = ids.iter().filter(|id| fail(id)).count();
        self.record(fault, failed);
        failed > 0
    }

    /// Fails the only request that waits. Returns false if there is none, or several.
    fn fail_only(&self, fault: LineFault) -> bool {
        let failed = self.session.complete_only(|| Incoming::Failed(failure_of(fault)));
        self.record(fault, usize::from(failed));
        failed
    }

    fn record(&self, fault: LineFault, failed: usize) {
        metrics::record_backend_drop(&self.session.backend, DropReason::Garbage);
        self.odd.record(fault, || match failed {
            0 => "skipped: the call that it belongs to is not known or has ended".to_owned(),
            1 => "the call that it belongs to failed".to_owned(),
            more => format!("the {more} calls that it names failed"),
        });
    }

    /// Begins a line that may turn out to be longer than `limit` bytes.
    pub(super) fn long_line(&self, limit: usize) -> LongLine {
        LongLine {
            session: Arc::clone(&self.session),
            odd: Arc::clone(&self.odd),
            sketch: MessageSketch::default(),
            limit,
            failed: false,
            is_message: None,
        }
    }

    /// Returns the beginning of a line without secrets and control characters.
    fn excerpt(&self, line: &[u8]) -> String {
        let enough = MAX_LOGGED + self.redactor.max_len();
        let text = String::from_utf8_lossy(line.get(..enough).unwrap_or(line)).replace(char::is_control, "");
        self.redactor.redact_up_to(&text, MAX_LOGGED).into_owned()
    }
}

fn failure_of(fault: LineFault) -> Failure {
    Failure::BadAnswer(fault.to_string())
}

/// A line that is too long, of which only the sketch is kept.
pub(super) struct LongLine {
    session: Arc<Session>,
    odd: Arc<OddLines>,
    sketch: MessageSketch,
    limit: usize,
    failed: bool,
    /// Whether the line begins as a message does; `None` before its first piece.
    is_message: Option<bool>,
}

impl LongLine {
    /// Takes a piece. The request that the line belongs to fails as soon as it is known: the line's end may never come.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        // A byte order mark may stand before the message.
        let starts = || matches!(piece.trim_ascii_start().first(), Some(b'{' | b'[' | 0xef));
        if self.failed || !*self.is_message.get_or_insert_with(starts) {
            return;
        }
        self.sketch.feed(piece);
        if let MessageOwner::Requests(ids) = self.sketch.owner() {
            let fail = |id: &u64| self.session.complete(*id, self.failure());
            self.failed = ids.iter().filter(|id| fail(id)).count() > 0;
        }
    }

    /// Ends the line.
    pub(super) fn end(mut self) {
        let backend = &*self.session.backend;
        if !self.failed && self.sketch.owner() == MessageOwner::Unknown {
            self.failed = self.session.complete_only(|| self.failure());
        }
        if !self.failed {
            metrics::record_backend_drop(backend, DropReason::Unroutable);
        }
        self.odd.record(LineFault::TooLong, || {
            let what = if self.failed { "the call that it belongs to failed" } else { "it was skipped" };
            format!("more than {} bytes, {what}", self.limit)
        });
    }

    fn failure(&self) -> Incoming {
        let limit = self.limit;
        let reason = format!("the backend's answer has more than {limit} bytes (MAX_OUTPUT_BYTES)");
        Incoming::Failed(Failure::ResultTooLarge(reason))
    }
}
