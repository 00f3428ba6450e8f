//! A proxy of the fleet as far as calls go: chooses a slave, looks for another, reads. As `proxy::dispatch` does it.

use std::time::Duration;

use protocol::link::proxy_end::Deadlines;
use protocol::mcp::failure::Failure;

use crate::book::{Finish, Tap, Track};
use crate::world::{Event, World};

/// How often a call that never reached its slave is given to another (`dispatch::stream`).
const MOST_MOVES: u32 = 5;

/// How often a call without a slave looks for one.
const LOOK: Duration = Duration::from_millis(50);

impl World {
    /// A client asks any proxy that takes calls.
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
        // What is on its way to a proxy ends with it.
        let at = (proxy, self.proxies[proxy].process.epoch);
        let mut track = Track::new(message, at, self.clock.now() + self.times.total);
        track.paused = self.paused(proxy);
        let mut book = self.book.borrow_mut();
        book.calls.insert(no, track);
        book.open.insert(no);
        drop(book);
        self.clock.after(Duration::from_millis(1), Event::Call { no, proxy });
    }

    /// How long a proxy has been paused.
    pub(crate) fn paused(&self, proxy: usize) -> Duration {
        let process = &self.proxies[proxy].process;
        let left =
            process.paused_until.map_or(Duration::ZERO, |until| until.saturating_sub(self.clock.now()));
        process.paused.saturating_sub(left)
    }

    pub(crate) fn call_arrives(&mut self, no: u64, proxy: usize) {
        let (at, done) = {
            let mut book = self.book.borrow_mut();
            let track = book.track(no);
            (track.at, track.finish.is_some())
        };
        if done || at.1 != self.proxies[proxy].process.epoch {
            return;
        }
        if !self.open(no) {
            self.book.borrow_mut().finish(no, Finish::Failed(Failure::NoSlave));
        }
    }

    /// The lighter of two slaves that take calls.
    fn choose(&mut self, proxy: usize) -> Option<u64> {
        let known = &self.proxies[proxy].known;
        let ready: Vec<u64> = known.iter().filter(|(_, known)| known.is_ready()).map(|(id, _)| *id).collect();
        let (one, two) = (self.rng.pick(&ready)?, self.rng.pick(&ready)?);
        let calls = |id: u64| self.proxies[proxy].known[&id].end.calls();
        Some(if calls(two) < calls(one) { two } else { one })
    }

    /// Gives a call to a slave under a new name. `false`: none takes it now.
    fn open(&mut self, no: u64) -> bool {
        let (proxy, _) = self.book.borrow_mut().track(no).at;
        let Some(instance) = self.choose(proxy) else { return false };
        let call = self.proxies[proxy].next_id();
        self.say(|| format!("P{proxy} opens {no} as {call} on {instance}"));
        let (message, limit) = {
            let mut book = self.book.borrow_mut();
            let track = book.track(no);
            (track.call, track.slave, track.homeless) = (call, Some(instance), None);
            (track.message.clone(), track.limit)
        };
        let now = self.clock.now();
        let last = self.clock.instant() + limit.saturating_sub(now);
        let patience = Deadlines { silence: self.times.silence, last };
        let tap = Tap { no, call, book: self.book.clone() };
        let end = &mut self.proxies[proxy].known.get_mut(&instance).expect("it was chosen").end;
        let opened = end.open(call, no.to_string().as_bytes(), message, tap);
        assert!(opened.is_ok(), "a slave with a connection takes calls");
        end.set_deadline(call, patience, self.clock.instant());
        true
    }

    /// The slave never had the call.
    pub(crate) fn moves(&mut self, no: u64) {
        let now = self.clock.now();
        let (silence, grace) = (self.times.silence, self.limits.grace);
        let mut book = self.book.borrow_mut();
        book.count("moved");
        let track = book.track(no);
        track.moves += 1;
        track.slave = None;
        if track.moves > MOST_MOVES {
            return book
                .finish(no, Finish::Failed(Failure::NoSlaveForTool { name: String::new(), wanted: None }));
        }
        track.homeless = Some(track.limit.min(now + grace.min(silence)));
        let at = track.at;
        drop(book);
        self.clock.after(Duration::ZERO, Event::Look { no, at });
    }

    /// A call without a slave looks for one.
    pub(crate) fn look(&mut self, no: u64) {
        let (until, at) = {
            let mut book = self.book.borrow_mut();
            let track = book.track(no);
            let Some(until) = track.homeless.filter(|_| track.finish.is_none()) else { return };
            (until, track.at)
        };
        if self.open(no) {
            return;
        }
        if self.clock.now() >= until {
            return self.book.borrow_mut().finish(no, Finish::Failed(Failure::NoSlave));
        }
        self.clock.after(LOOK, Event::Look { no, at });
    }

    /// There is something to take: the reader comes for it in its own time.
    pub(crate) fn wants_to_read(&mut self, no: u64) {
        let wait = match self.rng.below(20) {
            0 => self.rng.between(100, 8000),
            1..=4 => self.rng.between(1, 100),
            _ => 0,
        };
        let at = {
            let mut book = self.book.borrow_mut();
            let track = book.track(no);
            if std::mem::replace(&mut track.reading, true) {
                return;
            }
            track.at
        };
        self.clock.after(Duration::from_millis(wait as u64), Event::Read { no, at });
    }

    pub(crate) fn read(&mut self, no: u64) {
        let (call, slave, proxy, taken) = {
            let mut book = self.book.borrow_mut();
            let track = book.track(no);
            track.reading = false;
            let taken: Vec<_> = track.untaken.drain(..).collect();
            (track.call, track.slave, track.at.0, taken)
        };
        let Some((last, _)) = taken.last() else { return };
        let bytes = taken.iter().map(|(_, len)| len).sum();
        let now = self.clock.instant();
        if let Some(known) = slave.and_then(|slave| self.proxies[proxy].known.get_mut(&slave)) {
            known.end.taken(call, last + 1, bytes, now);
        }
    }

    /// A client that waits hangs up; `legacy`: the call is to run on.
    pub(crate) fn client_hangs_up(&mut self, legacy: bool) {
        let open: Vec<u64> = self.book.borrow().open.iter().copied().collect();
        let Some(no) = self.rng.pick(&open) else { return };
        let (call, slave, proxy) = {
            let mut book = self.book.borrow_mut();
            book.finish(no, Finish::GivenUp);
            let track = book.track(no);
            (track.call, track.slave, track.at.0)
        };
        self.say(|| format!("{no} hangs up"));
        let now = self.clock.instant();
        if let Some(known) = slave.and_then(|slave| self.proxies[proxy].known.get_mut(&slave)) {
            if legacy { known.end.abandon(call, now) } else { known.end.cancel(call) }
        }
    }

    /// Nobody waits longer than its call may take.
    pub(crate) fn check_limits(&self) {
        let slack = Duration::from_millis(300);
        let now = self.clock.now();
        let book = self.book.borrow();
        for no in &book.open {
            let track = &book.calls[no];
            let paused = self.paused(track.at.0).saturating_sub(track.paused);
            assert!(now <= track.limit + paused + slack, "{no} hangs: its limit was {:?}", track.limit);
            let died = track.slave.and_then(|slave| self.graves.get(&slave));
            if let Some(died) = died {
                let opened = track.limit.saturating_sub(self.times.total);
                let known_by = opened.max(*died) + self.times.dead + self.limits.grace + paused + slack;
                assert!(now <= known_by, "{no} still waits for a slave that died at {died:?}");
            }
        }
    }

    /// The name of an attempt, for those who have only that.
    pub(crate) fn call_number(header: &[u8]) -> u64 {
        std::str::from_utf8(header).ok().and_then(|text| text.parse().ok()).expect("a call's number")
    }
}
