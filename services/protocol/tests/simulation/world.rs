//! Proxies and slaves with connections that lose what is in transit, in virtual time. Every random choice comes from the seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::{CallId, InstanceId, LinkId};
use protocol::link::limits::LinkLimits;
use protocol::link::proxy_end::{ProxyEnd, ProxyEvent};
use protocol::link::slave_end::{SlaveEnd, SlaveEvent};

use crate::flow::Flows;
use crate::record::{Cause, Pair, Reader, RecordingSink, Records, SharedRecords, Work};
use crate::rng::Rng;

/// Connection between one proxy and one slave, and what each side knows of it.
pub(crate) struct Connection {
    pub(crate) link: LinkId,
    pub(crate) up: VecDeque<Bytes>,
    pub(crate) down: VecDeque<Bytes>,
    /// Nothing sent from now on arrives.
    pub(crate) broken: bool,
    pub(crate) proxy_up: bool,
    pub(crate) slave_up: bool,
}

/// Slave as one proxy knows it.
pub(crate) struct KnownSlave {
    pub(crate) end: ProxyEnd<RecordingSink>,
    pub(crate) generation: u64,
    pub(crate) catalog: Bytes,
}

pub(crate) struct Slave {
    pub(crate) end: SlaveEnd,
    pub(crate) generation: u64,
    pub(crate) catalog: Bytes,
    pub(crate) draining: bool,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Instant,
    pub(crate) limits: LinkLimits,
    pub(crate) proxies: usize,
    pub(crate) slaves: Vec<Slave>,
    pub(crate) known: BTreeMap<Pair, KnownSlave>,
    pub(crate) connections: BTreeMap<Pair, Connection>,
    pub(crate) records: SharedRecords,
    pub(crate) flows: Flows,
    pub(crate) stop_expected: bool,
    /// Session facts that were sent and not received.
    pub(crate) facts: BTreeSet<Bytes>,
    pub(crate) last_call: u64,
    pub(crate) last_link: u64,
    pub(crate) trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let chunk = rng.between(16, 200);
        let limits = LinkLimits {
            chunk,
            window: rng.between(2 * chunk, 9 * chunk).max(200),
            message: chunk * 20,
            journal: if rng.one_in(3) { chunk * 25 } else { chunk * 4000 },
            assembly: if rng.one_in(3) { chunk * 12 } else { chunk * 4000 },
            grace: Duration::from_secs(30),
        };
        let (proxies, slaves) = (rng.between(1, 2), rng.between(1, 2));
        let mut world = Self {
            rng,
            now: Instant::now(),
            limits,
            proxies,
            slaves: Vec::new(),
            known: BTreeMap::new(),
            connections: BTreeMap::new(),
            records: Rc::new(RefCell::new(Records { calls: BTreeMap::new(), cause: Cause::Traffic })),
            flows: Flows::default(),
            stop_expected: false,
            facts: BTreeSet::new(),
            last_call: 0,
            last_link: 0,
            trace: std::env::var_os("SIM_TRACE").is_some(),
        };
        for slave in 0..slaves {
            let catalog = world.rng.bytes(5);
            let end = SlaveEnd::new(world.limits.clone(), vec![catalog.clone()]);
            world.slaves.push(Slave { end, generation: 0, catalog, draining: false });
            for proxy in 0..proxies {
                let end = ProxyEnd::new(world.limits.clone());
                let pair = Pair { proxy, slave };
                world.known.insert(pair, KnownSlave { end, generation: 0, catalog: Bytes::new() });
                world.connections.insert(pair, Connection::none());
            }
        }
        world
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{}", what());
        }
    }

    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.connections.keys().copied().collect()
    }

    pub(crate) fn any_pair(&mut self) -> Pair {
        Pair { proxy: self.rng.below(self.proxies), slave: self.rng.below(self.slaves.len()) }
    }

    pub(crate) fn next_call(&mut self, proxy: usize) -> CallId {
        self.last_call += 1;
        CallId::new(InstanceId(proxy as u64 + 1), self.last_call)
    }

    /// Runs an operation of one proxy's end; calls of sinks meanwhile have this cause.
    pub(crate) fn at_proxy<T>(
        &mut self,
        pair: Pair,
        cause: Cause,
        act: impl FnOnce(&mut ProxyEnd<RecordingSink>) -> T,
    ) -> T {
        self.records.borrow_mut().cause = cause;
        let out = act(&mut self.known.get_mut(&pair).expect("a pair").end);
        self.records.borrow_mut().cause = Cause::Traffic;
        out
    }

    /// Sends up to `most` frames of the proxy. Returns how many.
    pub(crate) fn proxy_writes(&mut self, pair: Pair, most: usize) -> usize {
        let (now, window) = (self.now, self.limits.window);
        let connection = self.connections.get_mut(&pair).expect("a pair");
        let end = &mut self.known.get_mut(&pair).expect("a pair").end;
        if !connection.proxy_up {
            assert_eq!(end.poll_transmit(now), None, "a frame without a link");
            return 0;
        }
        let mut batch = BytesMut::new();
        let mut count = 0;
        while let Some(frame) = if count < most { end.poll_transmit(now) } else { None } {
            if self.trace {
                println!("  p{} > s{} {}", pair.proxy, pair.slave, show(&frame));
            }
            self.flows.proxy_sent(&frame, connection.link, window);
            frame.encode(&mut batch);
            count += 1;
        }
        if count > 0 && !connection.broken {
            connection.up.push_back(batch.freeze());
        }
        count
    }

    /// Sends up to `most` frames of the slave. Returns how many.
    pub(crate) fn slave_writes(&mut self, pair: Pair, most: usize) -> usize {
        let (now, window) = (self.now, self.limits.window);
        let connection = self.connections.get_mut(&pair).expect("a pair");
        let end = &mut self.slaves[pair.slave].end;
        if !connection.slave_up {
            assert_eq!(end.poll_transmit(connection.link, now), None, "a frame without a link");
            return 0;
        }
        let mut batch = BytesMut::new();
        let mut count = 0;
        while let Some(frame) = if count < most { end.poll_transmit(connection.link, now) } else { None } {
            if self.trace {
                println!("  s{} > p{} {}", pair.slave, pair.proxy, show(&frame));
            }
            self.flows.slave_sent(&frame, window);
            frame.encode(&mut batch);
            count += 1;
        }
        if count > 0 && !connection.broken {
            connection.down.push_back(batch.freeze());
        }
        count
    }

    /// Lets the slave read one batch, if one has arrived. Returns whether it did.
    pub(crate) fn slave_reads(&mut self, pair: Pair) -> bool {
        let now = self.now;
        let connection = self.connections.get_mut(&pair).expect("a pair");
        let Some(mut batch) = connection.up.pop_front().filter(|_| connection.slave_up) else { return false };
        let link = connection.link;
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| format!("  s{} < p{} {}", pair.slave, pair.proxy, show(&frame)));
            self.flows.slave_receives(&frame);
            if frame.kind == FrameKind::Cancel {
                assert!(
                    !self.records.borrow().calls[&frame.call].is_open(),
                    "cancel of a call that is wanted"
                );
            }
            let taken = self.slaves[pair.slave].end.receive(link, frame, now);
            assert_eq!(taken, Ok(()), "a slave rejects a correct proxy");
            self.slave_events(pair.slave);
        }
        true
    }

    /// Lets the proxy read one batch, if one has arrived. Returns whether it did.
    pub(crate) fn proxy_reads(&mut self, pair: Pair) -> bool {
        let now = self.now;
        let connection = self.connections.get_mut(&pair).expect("a pair");
        let Some(mut batch) = connection.down.pop_front().filter(|_| connection.proxy_up) else {
            return false;
        };
        let link = connection.link;
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| format!("  p{} < s{} {}", pair.proxy, pair.slave, show(&frame)));
            self.flows.proxy_receives(&frame, link);
            let cause = if frame.flags.has(Flags::GONE) { Cause::Gone } else { Cause::Traffic };
            let taken = self.at_proxy(pair, cause, |end| end.receive(frame, now));
            assert_eq!(taken, Ok(()), "a proxy rejects a correct slave");
            self.proxy_events(pair);
        }
        true
    }

    fn proxy_events(&mut self, pair: Pair) {
        let known = self.known.get_mut(&pair).expect("a pair");
        while let Some(event) = known.end.poll_event() {
            match event {
                ProxyEvent::Catalog(catalog) => known.catalog = catalog,
                ProxyEvent::Peers(_)
                | ProxyEvent::Session(_)
                | ProxyEvent::Draining
                | ProxyEvent::UnknownCall(_) => {}
            }
        }
    }

    pub(crate) fn slave_events(&mut self, slave: usize) {
        let mut records = self.records.borrow_mut();
        while let Some(event) = self.slaves[slave].end.poll_event() {
            if self.trace {
                println!("  s{slave} {event:?}");
            }
            match event {
                SlaveEvent::Start { call, header, message } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    assert_eq!(record.work, Work::NotStarted, "{call:?}: started twice");
                    assert!(!record.was_unsent(), "{call:?}: started after it was unsent");
                    assert_eq!(record.pair.slave, slave);
                    assert_eq!((&record.header, &record.message), (&header, &message));
                    record.work = Work::Running;
                    record.retained = self.rng.one_in(2) && self.slaves[slave].end.set_retained(call);
                }
                SlaveEvent::Released { call, may_return } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    assert!(record.retained && !record.released, "{call:?}: released twice, or unasked");
                    assert!(may_return || record.forgotten, "{call:?}: its client may return");
                    record.released = true;
                }
                SlaveEvent::Stop { call } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    assert!(record.work.runs(), "{call:?}: stopped, but it does not run");
                    let late = record.reader == Reader::Abandoned && record.limited;
                    let why = late
                        || record.reader == Reader::Cancelled
                        || record.overflowed
                        || record.outcome.is_some()
                        || self.stop_expected;
                    assert!(why, "{call:?}: stopped for no reason");
                    record.work = Work::Done;
                }
                SlaveEvent::GaveUp { call } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    record.gave_up = true;
                    record.overflowed = true;
                }
                SlaveEvent::Writable { call } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    if record.work != Work::Done {
                        assert_eq!(
                            record.work,
                            Work::Waiting,
                            "{call:?}: writable without a producer that waits"
                        );
                        record.work = Work::Running;
                    }
                }
                SlaveEvent::Session(_, facts) => assert!(self.facts.remove(&facts), "facts that nobody sent"),
                SlaveEvent::Peers(..) | SlaveEvent::ProxyDraining(_) => {}
            }
        }
    }
}

impl Connection {
    pub(crate) fn none() -> Self {
        Self {
            link: LinkId(0),
            up: VecDeque::new(),
            down: VecDeque::new(),
            broken: true,
            proxy_up: false,
            slave_up: false,
        }
    }
}

fn show(frame: &Frame) -> String {
    let Frame { kind, flags, call, seq, payload, .. } = frame;
    format!("{} {call} seq {seq} flags {} {} bytes", kind.name(), flags.0, payload.len())
}
