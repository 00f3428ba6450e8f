//! Proxies and slaves joined by wires that lose what is under way. Virtual time; every random choice comes from the seed.

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
use crate::record::{Cause, Reader, RecordingSink, Records, SharedRecords, Work};
use crate::rng::Rng;

/// The connection between one proxy and one slave, and what each side believes of it.
pub(crate) struct Wire {
    pub(crate) link: LinkId,
    pub(crate) up: VecDeque<Bytes>,
    pub(crate) down: VecDeque<Bytes>,
    /// Nothing written from now on arrives.
    pub(crate) broken: bool,
    pub(crate) proxy_has: bool,
    pub(crate) slave_has: bool,
}

/// One slave as one proxy knows it.
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
    pub(crate) known: BTreeMap<(usize, usize), KnownSlave>,
    pub(crate) wires: BTreeMap<(usize, usize), Wire>,
    pub(crate) records: SharedRecords,
    pub(crate) flows: Flows,
    pub(crate) stop_expected: bool,
    /// Session facts that were told and not received.
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
            wires: BTreeMap::new(),
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
            let end = SlaveEnd::new(world.limits.clone(), catalog.clone());
            world.slaves.push(Slave { end, generation: 0, catalog, draining: false });
            for proxy in 0..proxies {
                let end = ProxyEnd::new(world.limits.clone());
                world.known.insert((proxy, slave), KnownSlave { end, generation: 0, catalog: Bytes::new() });
                world.wires.insert((proxy, slave), Wire::none());
            }
        }
        world
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{}", what());
        }
    }

    pub(crate) fn pairs(&self) -> Vec<(usize, usize)> {
        self.wires.keys().copied().collect()
    }

    pub(crate) fn any_pair(&mut self) -> (usize, usize) {
        (self.rng.below(self.proxies), self.rng.below(self.slaves.len()))
    }

    pub(crate) fn next_call(&mut self, proxy: usize) -> CallId {
        self.last_call += 1;
        CallId::new(InstanceId(proxy as u64 + 1), self.last_call)
    }

    /// Does something with one proxy's end; whatever its sinks hear meanwhile has this cause.
    pub(crate) fn at_proxy<T>(
        &mut self,
        pair: (usize, usize),
        cause: Cause,
        act: impl FnOnce(&mut ProxyEnd<RecordingSink>) -> T,
    ) -> T {
        self.records.borrow_mut().cause = cause;
        let out = act(&mut self.known.get_mut(&pair).expect("a pair").end);
        self.records.borrow_mut().cause = Cause::Traffic;
        out
    }

    /// Moves up to `most` frames of the proxy onto the wire. Returns how many.
    pub(crate) fn proxy_writes(&mut self, pair: (usize, usize), most: usize) -> usize {
        let (now, window) = (self.now, self.limits.window);
        let wire = self.wires.get_mut(&pair).expect("a pair");
        let end = &mut self.known.get_mut(&pair).expect("a pair").end;
        if !wire.proxy_has {
            assert_eq!(end.poll_transmit(now), None, "a frame without a link");
            return 0;
        }
        let mut batch = BytesMut::new();
        let mut count = 0;
        while let Some(frame) = if count < most { end.poll_transmit(now) } else { None } {
            if self.trace {
                println!("  p{} > s{} {}", pair.0, pair.1, show(&frame));
            }
            self.flows.proxy_sent(&frame, wire.link, window);
            frame.encode(&mut batch);
            count += 1;
        }
        if count > 0 && !wire.broken {
            wire.up.push_back(batch.freeze());
        }
        count
    }

    /// Moves up to `most` frames of the slave onto the wire. Returns how many.
    pub(crate) fn slave_writes(&mut self, pair: (usize, usize), most: usize) -> usize {
        let (now, window) = (self.now, self.limits.window);
        let wire = self.wires.get_mut(&pair).expect("a pair");
        let end = &mut self.slaves[pair.1].end;
        if !wire.slave_has {
            assert_eq!(end.poll_transmit(wire.link, now), None, "a frame without a link");
            return 0;
        }
        let mut batch = BytesMut::new();
        let mut count = 0;
        while let Some(frame) = if count < most { end.poll_transmit(wire.link, now) } else { None } {
            if self.trace {
                println!("  s{} > p{} {}", pair.1, pair.0, show(&frame));
            }
            self.flows.slave_sent(&frame, window);
            frame.encode(&mut batch);
            count += 1;
        }
        if count > 0 && !wire.broken {
            wire.down.push_back(batch.freeze());
        }
        count
    }

    /// The slave reads one batch, if one has arrived. Returns whether it did.
    pub(crate) fn slave_reads(&mut self, pair: (usize, usize)) -> bool {
        let now = self.now;
        let wire = self.wires.get_mut(&pair).expect("a pair");
        let Some(mut batch) = wire.up.pop_front().filter(|_| wire.slave_has) else { return false };
        let link = wire.link;
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| format!("  s{} < p{} {}", pair.1, pair.0, show(&frame)));
            self.flows.slave_receives(&frame);
            if frame.kind == FrameKind::Cancel {
                assert!(
                    !self.records.borrow().calls[&frame.call].is_open(),
                    "cancel of a call that is wanted"
                );
            }
            let taken = self.slaves[pair.1].end.receive(link, frame, now);
            assert_eq!(taken, Ok(()), "a slave finds fault with a correct proxy");
            self.slave_events(pair.1);
        }
        true
    }

    /// The proxy reads one batch, if one has arrived. Returns whether it did.
    pub(crate) fn proxy_reads(&mut self, pair: (usize, usize)) -> bool {
        let now = self.now;
        let wire = self.wires.get_mut(&pair).expect("a pair");
        let Some(mut batch) = wire.down.pop_front().filter(|_| wire.proxy_has) else { return false };
        let link = wire.link;
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| format!("  p{} < s{} {}", pair.0, pair.1, show(&frame)));
            self.flows.proxy_receives(&frame, link);
            let cause = if frame.flags.has(Flags::GONE) { Cause::Gone } else { Cause::Traffic };
            let taken = self.at_proxy(pair, cause, |end| end.receive(frame, now));
            assert_eq!(taken, Ok(()), "a proxy finds fault with a correct slave");
            self.proxy_events(pair);
        }
        true
    }

    fn proxy_events(&mut self, pair: (usize, usize)) {
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
                    assert!(!record.was_unsent(), "{call:?}: started after it was called unsent");
                    assert_eq!(record.slave, slave);
                    assert_eq!((&record.header, &record.message), (&header, &message));
                    record.work = Work::Running;
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
                SlaveEvent::Writable { call } => {
                    let record = records.calls.get_mut(&call).expect("a call that was opened");
                    if record.work != Work::Done {
                        assert_eq!(record.work, Work::Waiting, "{call:?}: room that nobody waits for");
                        record.work = Work::Running;
                    }
                }
                SlaveEvent::Session(_, facts) => assert!(self.facts.remove(&facts), "facts that nobody told"),
                SlaveEvent::Peers(..) | SlaveEvent::ProxyDraining(_) => {}
            }
        }
    }
}

impl Wire {
    pub(crate) fn none() -> Self {
        Self {
            link: LinkId(0),
            up: VecDeque::new(),
            down: VecDeque::new(),
            broken: true,
            proxy_has: false,
            slave_has: false,
        }
    }
}

fn show(frame: &Frame) -> String {
    let Frame { kind, flags, call, seq, payload, .. } = frame;
    format!("{} {call} seq {seq} flags {} {} bytes", kind.name(), flags.0, payload.len())
}
