//! Actions of clients, readers and backends in a simulation, one at a time. Must not know connections.

use std::time::Duration;

use bytes::Bytes;
use protocol::link::frame::Flags;
use protocol::link::ids::CallId;
use protocol::link::proxy_end::Deadlines;
use protocol::link::slave_end::WriteOutcome;

use crate::record::{CallEnd, CallRecord, Cause, Pair, Reader, RecordingSink, Work, Written};
use crate::world::World;

impl World {
    fn size(&mut self) -> usize {
        let chunk = self.limits.chunk;
        match self.rng.below(10) {
            0 => 0,
            1..=6 => self.rng.between(1, chunk),
            7..=8 => self.rng.between(1, chunk * 12),
            _ => chunk * self.rng.between(1, 4),
        }
    }

    /// Opens a call for a client, or opens a call again that was not sent.
    pub(crate) fn client_opens(&mut self) {
        let pair = self.any_pair();
        let again = {
            let records = self.records.borrow();
            records
                .calls
                .iter()
                .find(|(_, t)| t.was_unsent() && !t.reopened)
                .map(|(id, t)| (*id, t.message.clone()))
        };
        let size = if self.rng.one_in(20) { self.limits.message + self.limits.chunk } else { self.size() };
        let fresh = self.rng.bytes(size);
        let message = again.as_ref().map_or(fresh, |(_, message)| message.clone());
        let header = self.rng.bytes(1 + size % 8);
        if self.open(pair, &header, message).is_some()
            && let Some((id, _)) = again
        {
            self.records.borrow_mut().calls.get_mut(&id).expect("a known call").reopened = true;
        }
    }

    /// Opens one call; `None` if the slave is not linked.
    pub(crate) fn open(&mut self, pair: Pair, header: &Bytes, message: Bytes) -> Option<CallId> {
        let call = self.next_call(pair.proxy);
        self.log(|| format!("open {call} p{} s{} {} bytes", pair.proxy, pair.slave, message.len()));
        let sink = RecordingSink { call, records: self.records.clone() };
        let record = CallRecord::new(pair, header.clone(), message.clone());
        self.records.borrow_mut().calls.insert(call, record);
        let opened = self.at_proxy(pair, Cause::Traffic, |end| end.open(call, header, message, sink));
        assert_eq!(opened.is_ok(), self.connections[&pair].proxy_up);
        if opened.is_err() {
            self.records.borrow_mut().calls.remove(&call);
            return None;
        }
        if self.rng.one_in(3) {
            let (now, silence) = (self.now, Duration::from_millis(self.rng.between(1, 90_000) as u64));
            let deadlines = Deadlines { silence_timeout: silence, total_deadline: now + silence * 2 };
            self.at_proxy(pair, Cause::Traffic, |end| end.set_deadline(call, deadlines, now));
            self.records.borrow_mut().calls.get_mut(&call).expect("a known call").limited = true;
        }
        Some(call)
    }

    fn some_call(&mut self, fits: impl Fn(&CallRecord) -> bool) -> Option<(CallId, Pair)> {
        let found: Vec<_> = {
            let records = self.records.borrow();
            records.calls.iter().filter(|(_, t)| fits(t)).map(|(id, t)| (*id, t.pair)).collect()
        };
        self.rng.pick(&found)
    }

    pub(crate) fn client_cancels(&mut self) {
        let Some((call, pair)) = self.some_call(CallRecord::is_open) else { return };
        self.log(|| format!("cancel {call}"));
        self.records.borrow_mut().calls.get_mut(&call).expect("a known call").reader = Reader::Cancelled;
        self.at_proxy(pair, Cause::Traffic, |end| end.cancel(call));
    }

    pub(crate) fn client_abandons(&mut self) {
        let Some((call, pair)) = self.some_call(CallRecord::is_open) else { return };
        self.log(|| format!("abandon {call}"));
        let now = self.now;
        {
            let mut records = self.records.borrow_mut();
            let record = records.calls.get_mut(&call).expect("a known call");
            record.reader = Reader::Abandoned;
            record.unread.clear();
        }
        self.may_forget(call, pair);
        self.at_proxy(pair, Cause::Traffic, |end| end.abandon(call, now));
    }

    /// Sends a session fact from a proxy to a slave.
    pub(crate) fn client_session_changes(&mut self) {
        let pair = self.any_pair();
        let facts = self.rng.bytes(12);
        self.facts.insert(facts.clone());
        self.at_proxy(pair, Cause::Traffic, |end| end.session(facts));
    }

    /// Lets a reader take at most so many chunks of its call. Returns whether there were any.
    pub(crate) fn reader_takes(&mut self, most: usize) -> bool {
        let Some((call, pair)) = self.some_call(|t| !t.unread.is_empty()) else { return false };
        let (seq, bytes) = {
            let mut records = self.records.borrow_mut();
            let unread = &mut records.calls.get_mut(&call).expect("a known call").unread;
            let count = most.min(unread.len());
            let taken: Vec<_> = unread.drain(..count).collect();
            (taken.last().expect("not empty").0 + 1, taken.iter().map(|(_, len)| len).sum())
        };
        self.log(|| format!("take {call} below {seq}"));
        self.may_forget(call, pair);
        let now = self.now;
        self.at_proxy(pair, Cause::Traffic, |end| end.acknowledge(call, seq, bytes, now));
        true
    }

    /// Says of some calls that their clients cannot come back.
    fn may_forget(&mut self, call: CallId, pair: Pair) {
        if self.rng.one_in(2) {
            self.records.borrow_mut().calls.get_mut(&call).expect("a known call").forgotten = true;
            self.at_proxy(pair, Cause::Traffic, |end| end.forget(call));
        }
    }

    pub(crate) fn backend_writes(&mut self) {
        // Most producers obey `WriteOutcome::Wait`, some do not.
        let patient = !self.rng.one_in(5);
        let writes = |t: &CallRecord| t.work == Work::Running || (t.work == Work::Waiting && !patient);
        let Some((call, Pair { slave, .. })) = self.some_call(writes) else { return };
        let size = self.size();
        let body = self.rng.bytes(size);
        let flags = if self.rng.one_in(4) { Flags::REQUEST } else { Flags::NONE };
        self.log(|| format!("event {call} {size} bytes"));
        let end = &mut self.slaves[slave].end;
        let fitted = end.journal_bytes() + size <= self.limits.journal;
        let given_up = self.given_up();
        let end = &mut self.slaves[slave].end;
        let wrote = end.event(call, body.clone(), flags);
        let fits = wrote != WriteOutcome::Gone;
        assert!(fits || !fitted, "{call:?}: {wrote:?}");
        {
            let mut records = self.records.borrow_mut();
            let record = records.calls.get_mut(&call).expect("a known call");
            if fits {
                record.work = if wrote == WriteOutcome::Wait { Work::Waiting } else { Work::Running };
                record.written.push(Written { end: false, flags, status: 0, body });
            } else {
                record.overflowed = true;
            }
        }
        self.slave_events(slave);
        assert_eq!(
            fits,
            fitted || self.given_up() > given_up,
            "{call:?}: room without need, or need without room"
        );
    }

    /// Returns how many calls were given up so far.
    fn given_up(&self) -> usize {
        self.records.borrow().calls.values().filter(|record| record.gave_up).count()
    }

    /// Lets a backend end a call. Returns whether one was running.
    pub(crate) fn backend_ends(&mut self) -> bool {
        let Some((call, Pair { slave, .. })) = self.some_call(|t| t.work.runs()) else { return false };
        let size = self.size();
        let body = self.rng.bytes(size);
        let flags = [Flags::NONE, Flags::ERROR, Flags::TOOL_ERROR][self.rng.below(3)];
        let status = self.rng.below(600) as u16;
        self.log(|| format!("end {call} {size} bytes"));
        let end = &mut self.slaves[slave].end;
        let fitted = end.journal_bytes() + size <= self.limits.journal;
        let given_up = self.given_up();
        let end = &mut self.slaves[slave].end;
        end.end(call, body.clone(), flags, status);
        self.records.borrow_mut().calls.get_mut(&call).expect("a known call").work = Work::Done;
        self.slave_events(slave);
        let fits = fitted || self.given_up() > given_up;
        let mut records = self.records.borrow_mut();
        let record = records.calls.get_mut(&call).expect("a known call");
        if fits {
            record.written.push(Written { end: true, flags, status, body });
        } else {
            record.overflowed = true;
        }
        true
    }
}

impl CallRecord {
    pub(crate) fn was_unsent(&self) -> bool {
        self.outcome == Some(CallEnd::Unsent)
    }
}
