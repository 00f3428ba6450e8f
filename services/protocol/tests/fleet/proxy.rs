//! Links at a proxy of the fleet: admission of slaves, frames, timers, shutdown.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::link::frame::Frame;
use protocol::link::ids::{CallId, InstanceId, LinkId};
use protocol::link::limits::MAX_BATCH;
use protocol::link::liveness::{KeepAliveAction, Liveness};
use protocol::link::proxy_end::{ProxyEnd, ProxyEvent};

use crate::net::{End, Message, Side};
use crate::record::{CallEnd, RecordingSink};
use crate::resume::Adopted;
use crate::world::{Node, Process, World};

/// Shortest round trip that both sides find: long enough that windows grow.
pub(crate) const TRIP: Duration = Duration::from_millis(80);

/// Longest time that a process in shutdown waits for its calls.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Slave process as this proxy knows it.
pub(crate) struct KnownSlave {
    pub(crate) end: ProxyEnd<RecordingSink>,
    pub(crate) slave: usize,
    pub(crate) conn: Option<u64>,
    pub(crate) draining: bool,
    pub(crate) catalog: Option<Bytes>,
}

impl KnownSlave {
    /// Returns whether the slave takes new calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.conn.is_some() && !self.draining && self.catalog.is_some()
    }
}

#[derive(Default)]
pub(crate) struct Proxy {
    pub(crate) process: Process,
    pub(crate) instance: u64,
    pub(crate) counter: u64,
    /// Slaves by instance.
    pub(crate) known: BTreeMap<u64, KnownSlave>,
    /// Calls that a proxy opened which is gone.
    pub(crate) adopted: BTreeMap<CallId, Adopted>,
}

impl Proxy {
    pub(crate) fn next_id(&mut self) -> CallId {
        self.counter += 1;
        CallId::new(InstanceId(self.instance), self.counter)
    }
}

impl World {
    pub(crate) fn start_proxy(&mut self, proxy: usize, instance: u64) {
        let it = &mut self.proxies[proxy];
        it.instance = instance;
        it.counter = 0;
        assert!(it.known.is_empty() && it.adopted.is_empty());
    }

    /// Takes a message that arrives at a proxy.
    pub(crate) fn proxy_receives(&mut self, id: u64, message: Message) {
        let now = self.clock.instant();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (proxy, slave) = (conn.proxy, conn.slave);
        // Late messages of a dead slave delay the time at which this proxy can notice its death.
        let writer = self.slaves[slave].dialed.get(&id).copied();
        if let Some(died) = writer.and_then(|writer| self.died_at.get_mut(&writer)) {
            *died = self.clock.now();
        }
        match (&mut conn.at_proxy, &message) {
            (End::Closed, _) => return,
            (End::Opening, Message::Hello) if self.proxies[proxy].process.alive => return self.admit(id),
            // The process is down.
            (End::Opening, _) => return self.close(id, Side::Proxy),
            (End::Up(liveness), _) => liveness.on_received(now),
        }
        match message {
            Message::Batch(batch) => self.proxy_takes_batch(id, batch),
            Message::Ping => self.send(id, Side::Proxy, Message::Pong),
            Message::Close => self.proxy_drops(id),
            Message::Hello | Message::Welcome(_) | Message::Pong => {}
        }
    }

    fn admit(&mut self, id: u64) {
        let now = self.clock.instant();
        let (ping, dead) = (self.times.ping, self.times.dead);
        let conn = self.conns.get_mut(&id).expect("it has just spoken");
        let (proxy, slave) = (conn.proxy, conn.slave);
        // The instance is that of the process which dialled, even if that has died since.
        let instance = self.slaves[slave].dialed.get(&id).copied().expect("who dialed");
        conn.at_proxy = End::Up(Liveness::new(ping, dead, now));
        self.log(|| format!("P{proxy} admits S{slave} ({instance})"));
        let limits = self.limits.clone();
        let known = self.proxies[proxy].known.entry(instance).or_insert_with(|| KnownSlave {
            end: ProxyEnd::new(limits),
            slave,
            conn: None,
            draining: false,
            catalog: None,
        });
        let old = known.conn.replace(id);
        if old.is_some() {
            known.end.link_down(now);
        }
        known.end.link_up(u32::try_from(self.limits.window).expect("small"));
        known.end.set_trip(TRIP);
        known.draining = false;
        if self.proxies[proxy].process.draining.is_some() {
            self.proxies[proxy].known.get_mut(&instance).expect("it was put there").end.drain();
        }
        let own = self.proxies[proxy].instance;
        self.send(id, Side::Proxy, Message::Welcome(own));
        if let Some(old) = old {
            self.close(old, Side::Proxy);
        }
    }

    fn by_conn(&mut self, proxy: usize, id: u64) -> Option<(u64, &mut KnownSlave)> {
        let found = self.proxies[proxy].known.iter_mut().find(|(_, known)| known.conn == Some(id));
        found.map(|(instance, known)| (*instance, known))
    }

    fn proxy_takes_batch(&mut self, id: u64, mut batch: Bytes) {
        let now = self.clock.instant();
        let proxy = self.conns[&id].proxy;
        while let Some(frame) = Frame::decode(&mut batch).expect("what was encoded") {
            self.log(|| {
                format!("  P{proxy} < conn {id} {} {} seq {}", frame.kind.name(), frame.call, frame.seq)
            });
            if self.adopted_receives(proxy, &frame) {
                continue;
            }
            self.flows.proxy_receives(&frame, LinkId(id));
            let Some((_, known)) = self.by_conn(proxy, id) else { return };
            assert_eq!(known.end.receive(frame, now), Ok(()), "a proxy rejects a correct slave");
            while let Some(event) = known.end.poll_event() {
                match event {
                    ProxyEvent::Catalog(catalog) => known.catalog = Some(catalog),
                    ProxyEvent::Draining => known.draining = true,
                    ProxyEvent::UnknownCall(_) | ProxyEvent::Peers(_) | ProxyEvent::Session(_) => {}
                }
            }
        }
    }

    /// Ends a connection at the proxy.
    fn proxy_drops(&mut self, id: u64) {
        let now = self.clock.instant();
        let proxy = self.conns[&id].proxy;
        self.log(|| format!("P{proxy} loses conn {id}"));
        if let Some((_, known)) = self.by_conn(proxy, id) {
            known.conn = None;
            known.end.link_down(now);
        }
        self.proxies[proxy].adopted.retain(|_, adopted| adopted.conn != id);
        self.close(id, Side::Proxy);
    }

    /// Runs timers and sends frames. Returns when the next timer is due.
    pub(crate) fn run_proxy(&mut self, proxy: usize) -> Option<Duration> {
        let now = self.clock.instant();
        let mut next: Option<Duration> = None;
        for instance in self.proxies[proxy].known.keys().copied().collect::<Vec<_>>() {
            let known = self.proxies[proxy].known.get_mut(&instance).expect("a known call");
            known.end.time_out(now);
            known.end.report_loss(now);
            if let Some(conn) = known.conn {
                let due = self.poll_liveness(conn, Side::Proxy);
                next = [next, due].into_iter().flatten().min();
                self.proxy_writes(proxy, instance);
            } else if known.end.expire(now) {
                assert_eq!(known.end.calls(), 0, "a forgotten slave has calls");
                self.proxies[proxy].known.remove(&instance);
                continue;
            }
            let due = self.proxies[proxy].known[&instance].end.poll_timeout();
            let due = due.map(|at| self.clock.since_start(at));
            next = [next, due].into_iter().flatten().min();
        }
        self.finish_drain(proxy).map_or(next, |at| Some(next.map_or(at, |next| next.min(at))))
    }

    fn proxy_writes(&mut self, proxy: usize, instance: u64) {
        let (now, window) = (self.clock.instant(), self.limits.window);
        loop {
            let known = self.proxies[proxy].known.get_mut(&instance).expect("a known call");
            let Some(id) = known.conn else { return };
            if !self.conns.get_mut(&id).is_some_and(|conn| conn.takes_from(Side::Proxy)) {
                return;
            }
            let mut batch = BytesMut::new();
            while batch.len() < MAX_BATCH.min(2000)
                && let Some(frame) = known.end.poll_transmit(now)
            {
                self.flows.proxy_sent(&frame, LinkId(id), window);
                frame.encode(&mut batch);
            }
            if batch.is_empty() {
                return;
            }
            self.send(id, Side::Proxy, Message::Batch(batch.freeze()));
        }
    }

    /// Runs the keep-alive of one side of a connection. Returns when it is due again.
    pub(crate) fn poll_liveness(&mut self, id: u64, side: Side) -> Option<Duration> {
        let now = self.clock.instant();
        loop {
            let End::Up(liveness) = self.conns.get_mut(&id)?.end(side) else { return None };
            match liveness.poll(now) {
                KeepAliveAction::Wait(until) => return Some(self.clock.since_start(until)),
                KeepAliveAction::Ping => self.send(id, side, Message::Ping),
                KeepAliveAction::Dead => {
                    match side {
                        Side::Proxy => self.proxy_drops(id),
                        Side::Slave => self.slave_drops(id),
                    }
                    return None;
                }
            }
        }
    }

    /// Ends a draining proxy when its calls have ended or its time is over. Returns when to check again.
    fn finish_drain(&mut self, proxy: usize) -> Option<Duration> {
        let since = self.proxies[proxy].process.draining?;
        let calls: usize = self.proxies[proxy].known.values().map(|known| known.end.calls()).sum();
        let retry_until = self.open_calls(proxy);
        let now = self.clock.now();
        if (calls == 0 && retry_until.is_empty()) || now >= since + SHUTDOWN_TIMEOUT {
            self.end_process(Node::Proxy(proxy), true);
            return None;
        }
        Some(now + Duration::from_millis(100))
    }

    /// Returns the calls that clients of this proxy wait for.
    pub(crate) fn open_calls(&self, proxy: usize) -> Vec<u64> {
        let records = self.records.borrow();
        records.open.iter().filter(|no| records.calls[no].at.proxy == proxy).copied().collect()
    }

    /// Ends a process; `announced`: its system closes the connections.
    pub(crate) fn end_process(&mut self, node: Node, announced: bool) {
        self.log(|| format!("{node:?} ends, {}", if announced { "with a close" } else { "without a close" }));
        let side = match node {
            Node::Proxy(_) => Side::Proxy,
            Node::Slave(_) => Side::Slave,
        };
        let mine: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| conn.node(side) == node).map(|(id, _)| *id).collect();
        for id in mine {
            if announced { self.close(id, side) } else { self.vanish(id, side) }
        }
        self.process(node).alive = false;
        match node {
            Node::Proxy(proxy) => {
                for no in self.open_calls(proxy) {
                    self.records.borrow_mut().finish(no, CallEnd::Broken);
                    self.schedule_resume(no);
                }
                self.proxies[proxy].known.clear();
                self.proxies[proxy].adopted.clear();
            }
            Node::Slave(slave) => self.on_slave_death(slave),
        }
        let wait = Duration::from_millis(self.rng.between(1, 20_000) as u64);
        self.clock.after(wait, crate::world::Event::Start { node });
    }
}
