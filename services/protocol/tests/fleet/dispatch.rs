//! Calls at a proxy of the fleet: choice of a slave, further tries, reading. Follows `proxy::dispatch`.

use std::time::Duration;

use protocol::link::proxy_end::Deadlines;
use protocol::mcp::failure::Failure;

use crate::record::{CallEnd, CallRecord, ProxyEpoch, RecordingSink};
use crate::world::{Event, World};

/// How often a call that never reached its slave is given to another (`dispatch::stream`).
const MAX_MOVES: u32 = 5;

/// Time between two tries to find a slave for a call.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

impl World {
    /// Lets a client call any proxy that takes calls.
    pub(crate) fn client_calls(&mut self) {
        let ready = |proxy: &usize| {
            let process = &self.proxies[*proxy].process;
            process.alive && process.draining.is_none()
        };
        let ready: Vec<usize> = (0..self.proxies.len()).filter(ready).collect();
        let Some(proxy) = self.rng.pick(&ready) else { return };
        self.last_call += 1;
        let no = self.last_call;
        let size = match self.rng.below(10) {
            0 => 0,
            9 => self.rng.between(1, self.limits.message / 2),
            _ => self.rng.between(1, self.limits.chunk),
        };
        let message = self.rng.bytes(size);
        // A request in transit is lost if the proxy ends.
        let at = ProxyEpoch { proxy, epoch: self.proxies[proxy].process.epoch };
        let mut record = CallRecord::new(message, at, self.clock.now() + self.times.total);
        record.paused = self.paused(proxy);
        let mut records = self.records.borrow_mut();
        records.calls.insert(no, record);
        records.open.insert(no);
        drop(records);
        self.clock.after(Duration::from_millis(1), Event::Call { no, proxy });
    }

    /// Returns how long a proxy has been paused.
    pub(crate) fn paused(&self, proxy: usize) -> Duration {
        let process = &self.proxies[proxy].process;
        let left =
            process.paused_until.map_or(Duration::ZERO, |until| until.saturating_sub(self.clock.now()));
        process.paused.saturating_sub(left)
    }

    pub(crate) fn call_arrives(&mut self, no: u64, proxy: usize) {
        let (at, done) = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            (record.at, record.outcome.is_some())
        };
        if done || at.epoch != self.proxies[proxy].process.epoch {
            return;
        }
        if !self.open(no) {
            self.records.borrow_mut().finish(no, CallEnd::Failed(Failure::NoSlave));
        }
    }

    /// Returns the slave with fewer calls of two that take calls.
    fn choose(&mut self, proxy: usize) -> Option<u64> {
        let known = &self.proxies[proxy].known;
        let ready: Vec<u64> = known.iter().filter(|(_, known)| known.is_ready()).map(|(id, _)| *id).collect();
        let (one, two) = (self.rng.pick(&ready)?, self.rng.pick(&ready)?);
        let calls = |id: u64| self.proxies[proxy].known[&id].end.calls();
        Some(if calls(two) < calls(one) { two } else { one })
    }

    /// Opens a call on a slave under a new id. Returns `false` if no slave takes calls now.
    fn open(&mut self, no: u64) -> bool {
        let proxy = self.records.borrow_mut().record(no).at.proxy;
        let Some(instance) = self.choose(proxy) else { return false };
        let call = self.proxies[proxy].next_id();
        self.log(|| format!("P{proxy} opens {no} as {call} on {instance}"));
        let (message, limit) = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            (record.call, record.slave, record.retry_until) = (call, Some(instance), None);
            (record.message.clone(), record.limit)
        };
        let now = self.clock.now();
        let last = self.clock.instant() + limit.saturating_sub(now);
        let deadlines = Deadlines { silence_timeout: self.times.silence, total_deadline: last };
        let sink = RecordingSink { no, call, records: self.records.clone() };
        let end = &mut self.proxies[proxy].known.get_mut(&instance).expect("it was chosen").end;
        let opened = end.open(call, no.to_string().as_bytes(), message, sink);
        assert!(opened.is_ok(), "a slave with a connection takes calls");
        end.set_deadline(call, deadlines, self.clock.instant());
        true
    }

    /// Looks for another slave for a call that was unsent.
    pub(crate) fn moves(&mut self, no: u64) {
        let now = self.clock.now();
        let (silence, grace) = (self.times.silence, self.limits.grace);
        let mut records = self.records.borrow_mut();
        records.count("moved");
        let record = records.record(no);
        record.moves += 1;
        record.slave = None;
        if record.moves > MAX_MOVES {
            return records
                .finish(no, CallEnd::Failed(Failure::NoSlaveForTool { name: String::new(), wanted: None }));
        }
        record.retry_until = Some(record.limit.min(now + grace.min(silence)));
        let at = record.at;
        drop(records);
        self.clock.after(Duration::ZERO, Event::Retry { no, at });
    }

    /// Tries to open a call that has no slave.
    pub(crate) fn retry_open(&mut self, no: u64) {
        let (until, at) = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            let Some(until) = record.retry_until.filter(|_| record.outcome.is_none()) else { return };
            (until, record.at)
        };
        if self.open(no) {
            return;
        }
        if self.clock.now() >= until {
            return self.records.borrow_mut().finish(no, CallEnd::Failed(Failure::NoSlave));
        }
        self.clock.after(RETRY_INTERVAL, Event::Retry { no, at });
    }

    /// Schedules the next read of a call of which something has come.
    pub(crate) fn schedule_read(&mut self, no: u64) {
        let wait = match self.rng.below(20) {
            0 => self.rng.between(100, 8000),
            1..=4 => self.rng.between(1, 100),
            _ => 0,
        };
        let at = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            if std::mem::replace(&mut record.reading, true) {
                return;
            }
            record.at
        };
        self.clock.after(Duration::from_millis(wait as u64), Event::Read { no, at });
    }

    pub(crate) fn read(&mut self, no: u64) {
        let (call, slave, proxy, taken) = {
            let mut records = self.records.borrow_mut();
            let record = records.record(no);
            record.reading = false;
            let taken: Vec<_> = record.unread.drain(..).collect();
            (record.call, record.slave, record.at.proxy, taken)
        };
        let Some((last, _)) = taken.last() else { return };
        let bytes = taken.iter().map(|(_, len)| len).sum();
        let now = self.clock.instant();
        if let Some(known) = slave.and_then(|slave| self.proxies[proxy].known.get_mut(&slave)) {
            known.end.acknowledge(call, last + 1, bytes, now);
        }
    }

    /// Lets a waiting client hang up; `legacy`: the call runs on.
    pub(crate) fn client_hangs_up(&mut self, legacy: bool) {
        let open: Vec<u64> = self.records.borrow().open.iter().copied().collect();
        let Some(no) = self.rng.pick(&open) else { return };
        let (call, slave, proxy) = {
            let mut records = self.records.borrow_mut();
            records.finish(no, CallEnd::GivenUp);
            let record = records.record(no);
            (record.call, record.slave, record.at.proxy)
        };
        self.log(|| format!("{no} hangs up"));
        let now = self.clock.instant();
        if let Some(known) = slave.and_then(|slave| self.proxies[proxy].known.get_mut(&slave)) {
            if legacy { known.end.abandon(call, now) } else { known.end.cancel(call) }
        }
    }

    /// Checks that no client waits longer than its call may take.
    pub(crate) fn check_limits(&self) {
        let slack = Duration::from_millis(300);
        let now = self.clock.now();
        let records = self.records.borrow();
        for no in &records.open {
            let record = &records.calls[no];
            let paused = self.paused(record.at.proxy).saturating_sub(record.paused);
            assert!(now <= record.limit + paused + slack, "{no} hangs: its limit was {:?}", record.limit);
            let died = record.slave.and_then(|slave| self.died_at.get(&slave));
            if let Some(died) = died {
                let opened = record.limit.saturating_sub(self.times.total);
                let known_by = opened.max(*died) + self.times.dead + self.limits.grace + paused + slack;
                assert!(now <= known_by, "{no} still waits for a slave that died at {died:?}");
            }
        }
    }

    /// Reads the number of a call from its header.
    pub(crate) fn call_number(header: &[u8]) -> u64 {
        std::str::from_utf8(header).ok().and_then(|text| text.parse().ok()).expect("a call's number")
    }
}
