//! Slaves of the fleet: links to every proxy, running calls, their journals.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::link::backoff::Backoff;
use protocol::link::fleet::{FleetKey, FleetKeys};
use protocol::link::frame::{Flags, Frame};
use protocol::link::ids::{CallId, InstanceId, LinkId};
use protocol::link::limits::LinkLimits;
use protocol::link::liveness::Liveness;
use protocol::link::slave_end::{ProxyPeer, SlaveEnd, SlaveEvent, WriteOutcome};

use crate::net::{End, Message, Side};
use crate::proxy::{SHUTDOWN_TIMEOUT, TRIP};
use crate::record::Written;
use crate::world::{Event, Node, Process, World};

/// Longest time that a slave waits for the reply of a proxy.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after which a link that breaks resets the backoff.
const STABLE_LINK_TIME: Duration = Duration::from_secs(10);

/// Running call of a backend.
struct Job {
    no: u64,
    left: usize,
    waits_for_reader: bool,
}

/// Proxy that a slave keeps a link to.
struct ProxyTarget {
    conn: Option<u64>,
    backoff: Backoff,
    since: Duration,
}

pub(crate) struct Slave {
    pub(crate) process: Process,
    pub(crate) instance: u64,
    pub(crate) end: SlaveEnd,
    pub(crate) catalog: Bytes,
    /// Instances by the connections that they dialled.
    pub(crate) dialed: BTreeMap<u64, u64>,
    jobs: BTreeMap<CallId, Job>,
    targets: Vec<ProxyTarget>,
}

impl Slave {
    pub(crate) fn new(proxies: usize) -> Self {
        let target = || ProxyTarget {
            conn: None,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(5)),
            since: Duration::ZERO,
        };
        Self {
            process: Process::default(),
            instance: 0,
            end: SlaveEnd::new(LinkLimits::default(), vec![Bytes::new()]),
            catalog: Bytes::from_static(b"tools"),
            dialed: BTreeMap::new(),
            jobs: BTreeMap::new(),
            targets: (0..proxies).map(|_| target()).collect(),
        }
    }

    /// Returns the number of running calls.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Returns the connections of this slave.
    pub(crate) fn conns(&self) -> Vec<u64> {
        self.targets.iter().filter_map(|target| target.conn).collect()
    }
}

impl World {
    pub(crate) fn start_slave(&mut self, slave: usize, instance: u64) {
        let limits = self.limits.clone();
        let it = &mut self.slaves[slave];
        it.instance = instance;
        it.end = SlaveEnd::new(limits, vec![it.catalog.clone()]);
        let epoch = it.process.epoch;
        for proxy in 0..self.proxies.len() {
            self.clock.after(Duration::ZERO, Event::Dial { slave, epoch, proxy });
        }
    }

    /// Drops the state of a dead slave process.
    pub(crate) fn on_slave_death(&mut self, slave: usize) {
        let now = self.clock.now();
        let it = &mut self.slaves[slave];
        self.died_at.insert(it.instance, now);
        it.jobs.clear();
        it.targets.iter_mut().for_each(|target| target.conn = None);
    }

    pub(crate) fn dial(&mut self, slave: usize, epoch: u64, proxy: usize) {
        let it = &self.slaves[slave];
        if !it.process.alive || it.process.epoch != epoch || it.targets[proxy].conn.is_some() {
            return;
        }
        let conn = self.connect(slave, proxy);
        let it = &mut self.slaves[slave];
        it.dialed.insert(conn, it.instance);
        it.targets[proxy].conn = Some(conn);
        self.clock.after(DIAL_TIMEOUT, Event::DialTimeout { conn, slave });
    }

    pub(crate) fn dial_timeout(&mut self, id: u64) {
        if self.conns.get(&id).is_some_and(|conn| matches!(conn.at_slave, End::Opening)) {
            self.slave_drops(id);
        }
    }

    /// Takes a message that arrives at a slave.
    pub(crate) fn slave_receives(&mut self, id: u64, message: Message) {
        let (now, window) = (self.clock.instant(), self.limits.window);
        let (ping, dead) = (self.times.ping, self.times.dead);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (slave, proxy) = (conn.slave, conn.proxy);
        match (&mut conn.at_slave, &message) {
            (End::Closed, _) => return,
            (End::Opening, Message::Welcome(instance)) => {
                let instance = InstanceId(*instance);
                conn.at_slave = End::Up(Liveness::new(ping, dead, now));
                let window = u32::try_from(window).expect("small");
                let peer = ProxyPeer {
                    instance,
                    fleet: FleetKeys::new([FleetKey([1; 32])]),
                    window,
                    grace: self.limits.grace,
                };
                self.slaves[slave].end.link_up(LinkId(id), peer);
                self.slaves[slave].end.set_trip(LinkId(id), TRIP);
                self.slaves[slave].targets[proxy].since = self.clock.now();
                return self.log(|| format!("S{slave} is linked to P{proxy}"));
            }
            (End::Opening, _) => return self.slave_drops(id),
            (End::Up(liveness), _) => liveness.on_received(now),
        }
        match message {
            Message::Batch(batch) => self.slave_takes_batch(slave, id, batch),
            Message::Ping => self.send(id, Side::Slave, Message::Pong),
            Message::Close => self.slave_drops(id),
            Message::Hello | Message::Welcome(_) | Message::Pong => {}
        }
    }

    /// Ends a connection at the slave and schedules the next dial.
    pub(crate) fn slave_drops(&mut self, id: u64) {
        let (now, random) = (self.clock.now(), self.rng.next());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (slave, proxy) = (conn.slave, conn.proxy);
        if conn.at_slave.is_up() {
            self.slaves[slave].end.link_down(LinkId(id), self.clock.instant());
        }
        self.log(|| format!("S{slave} loses P{proxy}"));
        let target = &mut self.slaves[slave].targets[proxy];
        target.conn = None;
        if now >= target.since + STABLE_LINK_TIME {
            target.backoff.reset();
        }
        let wait = target.backoff.next(random);
        self.close(id, Side::Slave);
        let epoch = self.slaves[slave].process.epoch;
        self.clock.after(wait, Event::Dial { slave, epoch, proxy });
    }

    fn slave_takes_batch(&mut self, slave: usize, id: u64, mut batch: Bytes) {
        let now = self.clock.instant();
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| {
                format!("  S{slave} < conn {id} {} {} seq {}", frame.kind.name(), frame.call, frame.seq)
            });
            self.flows.slave_receives(&frame);
            let taken = self.slaves[slave].end.receive(LinkId(id), frame, now);
            assert_eq!(taken, Ok(()), "a slave rejects a correct proxy");
            self.slave_events(slave);
        }
    }

    fn slave_events(&mut self, slave: usize) {
        while let Some(event) = self.slaves[slave].end.poll_event() {
            match event {
                SlaveEvent::Start { call, header, message } => {
                    let no = Self::call_number(&header);
                    self.records.borrow_mut().start(no, call, &message);
                    let left = self.rng.below(6);
                    let job = Job { no, left, waits_for_reader: false };
                    assert!(self.slaves[slave].jobs.insert(call, job).is_none(), "{no}: starts twice");
                    self.think(slave, call);
                }
                SlaveEvent::Stop { call } => {
                    let job = self.slaves[slave].jobs.remove(&call).expect("only what runs is stopped");
                    let ended = self.records.borrow().calls[&job.no].outcome.is_some();
                    assert!(ended || self.expiring, "{}: stopped, but it is wanted", job.no);
                }
                SlaveEvent::Writable { call } => {
                    if let Some(job) = self.slaves[slave].jobs.get_mut(&call) {
                        assert!(
                            std::mem::take(&mut job.waits_for_reader),
                            "writable without a producer that waits"
                        );
                        self.think(slave, call);
                    }
                }
                SlaveEvent::Released { .. } => panic!("no call is retained here"),
                SlaveEvent::GaveUp { .. } => panic!("no journal is full here"),
                SlaveEvent::Session(..) | SlaveEvent::Peers(..) | SlaveEvent::ProxyDraining(_) => {}
            }
        }
    }

    fn think(&mut self, slave: usize, call: CallId) {
        let wait = Duration::from_millis(self.rng.below(self.times.think) as u64);
        let epoch = self.slaves[slave].process.epoch;
        self.clock.after(wait, Event::Work { slave, epoch, call });
    }

    /// Lets a backend write the next message of a call.
    pub(crate) fn work(&mut self, slave: usize, epoch: u64, call: CallId) {
        let it = &mut self.slaves[slave];
        if !it.process.alive || it.process.epoch != epoch {
            return;
        }
        let Some(job) = it.jobs.get_mut(&call) else { return };
        if job.waits_for_reader {
            return;
        }
        let chunk = self.limits.chunk;
        let size = match self.rng.below(10) {
            0 => self.rng.between(1, chunk * 60),
            1..=3 => self.rng.between(1, chunk * 8),
            _ => self.rng.below(chunk),
        };
        let body = self.rng.bytes(size);
        let end = job.left == 0;
        let flags = match self.rng.below(10) {
            0 | 1 if end => Flags::ERROR,
            0 if !end => Flags::REQUEST,
            _ => Flags::NONE,
        };
        let no = job.no;
        self.records.borrow_mut().record(no).written.push(Written { end, flags, body: body.clone() });
        if end {
            it.jobs.remove(&call);
            it.end.end(call, body, flags, 0);
            return;
        }
        job.left -= 1;
        match it.end.event(call, body, flags) {
            WriteOutcome::Wait => job.waits_for_reader = true,
            WriteOutcome::More => self.think(slave, call),
            WriteOutcome::Gone => panic!("{no}: a call that runs is not known"),
        }
    }

    /// Runs timers and sends frames. Returns when the next timer is due.
    pub(crate) fn run_slave(&mut self, slave: usize) -> Option<Duration> {
        let now = self.clock.instant();
        if self.slaves[slave].end.poll_timeout().is_some_and(|at| at <= now) {
            self.slaves[slave].end.expire(now);
            self.expiring = true;
            self.slave_events(slave);
            self.expiring = false;
        }
        let mut next = self.slaves[slave].end.poll_timeout().map(|at| self.clock.since_start(at));
        for conn in self.slaves[slave].conns() {
            let keep_alive = self.poll_liveness(conn, Side::Slave);
            self.slave_writes(slave, conn);
            let link_timer =
                self.slaves[slave].end.link_timeout(LinkId(conn)).map(|at| self.clock.since_start(at));
            next = [next, keep_alive, link_timer].into_iter().flatten().min();
        }
        if let Some(since) = self.slaves[slave].process.draining {
            let now = self.clock.now();
            if self.slaves[slave].end.calls() == 0 || now >= since + SHUTDOWN_TIMEOUT {
                self.end_process(Node::Slave(slave), true);
                return None;
            }
            next = Some(next.map_or(now + STABLE_LINK_TIME, |next| next.min(since + SHUTDOWN_TIMEOUT)));
        }
        next
    }

    fn slave_writes(&mut self, slave: usize, id: u64) {
        let (now, window) = (self.clock.instant(), self.limits.window);
        while let Some(conn) = self.conns.get_mut(&id)
            && conn.at_slave.is_up()
            && conn.takes_from(Side::Slave)
        {
            let mut batch = BytesMut::new();
            while batch.len() < 2000
                && let Some(frame) = self.slaves[slave].end.poll_transmit(LinkId(id), now)
            {
                self.flows.slave_sent(&frame, window);
                frame.encode(&mut batch);
            }
            if batch.is_empty() {
                return;
            }
            self.send(id, Side::Slave, Message::Batch(batch.freeze()));
        }
    }
}
