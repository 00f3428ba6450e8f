//! Faults of connections and processes: cuts that are noticed late, reconnects, restarts, drains, passing time.

use std::time::Duration;

use protocol::link::fleet::{FleetKey, FleetKeys};
use protocol::link::ids::{InstanceId, LinkId};
use protocol::link::proxy_end::ProxyEnd;
use protocol::link::slave_end::{ProxyPeer, SlaveEnd};

use crate::record::{CallEnd, Cause, Pair};
use crate::world::{Connection, World};

impl World {
    /// Cuts a connection: nothing sent from now on arrives, and only a part of what is in transit does.
    pub(crate) fn cut(&mut self, pair: Pair) {
        let connection = self.connections.get_mut(&pair).expect("a pair");
        if connection.broken {
            return;
        }
        connection.broken = true;
        connection.up.truncate(self.rng.below(connection.up.len() + 1));
        connection.down.truncate(self.rng.below(connection.down.len() + 1));
        self.log(|| format!("cut p{} s{}", pair.proxy, pair.slave));
    }

    pub(crate) fn proxy_notices_cut(&mut self, pair: Pair) {
        let connection = self.connections.get_mut(&pair).expect("a pair");
        if !connection.broken || !connection.proxy_up {
            return;
        }
        connection.proxy_up = false;
        connection.down.clear();
        let now = self.now;
        self.log(|| format!("p{} notices s{}", pair.proxy, pair.slave));
        self.at_proxy(pair, Cause::LinkDown, |end| end.link_down(now));
    }

    pub(crate) fn slave_notices_cut(&mut self, pair: Pair) {
        let connection = self.connections.get_mut(&pair).expect("a pair");
        if !connection.broken || !connection.slave_up {
            return;
        }
        connection.slave_up = false;
        connection.up.clear();
        let link = connection.link;
        self.slaves[pair.slave].end.link_down(link, self.now);
        self.log(|| format!("s{} notices p{}", pair.slave, pair.proxy));
    }

    /// Makes a new connection, once the slave has given the old one up; the proxy then gives it up as well.
    pub(crate) fn reconnect(&mut self, pair: Pair) {
        if self.connections[&pair].slave_up {
            return;
        }
        self.proxy_notices_cut(pair);
        self.log(|| format!("reconnect p{} s{}", pair.proxy, pair.slave));
        let generation = self.slaves[pair.slave].generation;
        if self.known[&pair].generation != generation {
            self.at_proxy(pair, Cause::Lost, ProxyEnd::fail_all);
            self.fresh_end(pair);
        }
        self.last_link += 1;
        let link = LinkId(self.last_link);
        let window = u32::try_from(self.limits.window).expect("small");
        self.connections.insert(
            pair,
            Connection { link, broken: false, proxy_up: true, slave_up: true, ..Connection::none() },
        );
        self.at_proxy(pair, Cause::Traffic, |end| end.link_up(window));
        let peer = ProxyPeer {
            instance: InstanceId(pair.proxy as u64 + 1),
            fleet: FleetKeys::new([FleetKey([1; 32])]),
            window,
            grace: self.limits.grace,
        };
        self.slaves[pair.slave].end.link_up(link, peer);
        if self.rng.one_in(2) {
            self.measure_long_trip(pair, link);
        }
    }

    /// Both sides find round trips so long that every window is too short.
    fn measure_long_trip(&mut self, pair: Pair, link: LinkId) {
        let trip = Duration::from_hours(1);
        self.at_proxy(pair, Cause::Traffic, |end| end.set_trip(trip));
        self.slaves[pair.slave].end.set_trip(link, trip);
    }

    fn fresh_end(&mut self, pair: Pair) {
        let generation = self.slaves[pair.slave].generation;
        let known = self.known.get_mut(&pair).expect("a pair");
        assert_eq!(known.end.calls(), 0, "a forgotten slave has calls");
        known.end = ProxyEnd::new(self.limits.clone());
        known.generation = generation;
    }

    /// Replaces a slave process by a new one.
    pub(crate) fn restart(&mut self, slave: usize) {
        self.log(|| format!("restart s{slave}"));
        for proxy in 0..self.proxies {
            let pair = Pair { proxy, slave };
            self.cut(pair);
            let connection = self.connections.get_mut(&pair).expect("a pair");
            connection.up.clear();
            connection.slave_up = false;
        }
        let slave_now = &mut self.slaves[slave];
        slave_now.end = SlaveEnd::new(self.limits.clone(), vec![slave_now.catalog.clone()]);
        slave_now.generation += 1;
        slave_now.draining = false;
        for record in self.records.borrow_mut().calls.values_mut().filter(|t| t.pair.slave == slave) {
            record.on_slave_death();
        }
    }

    pub(crate) fn drain_slave(&mut self, slave: usize) {
        self.slaves[slave].draining = true;
        self.slaves[slave].end.drain();
    }

    pub(crate) fn set_catalog(&mut self, slave: usize) {
        let len = self.rng.below(self.limits.chunk * 5);
        let catalog = self.rng.bytes(len);
        self.slaves[slave].catalog = catalog.clone();
        self.slaves[slave].end.set_catalog(vec![catalog.clone()], &[catalog]);
    }

    /// Lets time pass and runs the timers that are due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.log(|| format!("{time:?} pass"));
        for pair in self.pairs() {
            self.time_out(pair);
            if !self.connections[&pair].proxy_up && self.at_proxy(pair, Cause::Lost, |end| end.expire(now)) {
                self.fresh_end(pair);
            }
        }
        for slave in 0..self.slaves.len() {
            if self.slaves[slave].end.poll_timeout().is_some_and(|at| at <= now) {
                self.stop_expected = true;
                self.slaves[slave].end.expire(now);
                self.slave_events(slave);
                self.stop_expected = false;
            }
        }
    }

    fn time_out(&mut self, pair: Pair) {
        let now = self.now;
        let open = self.open_calls();
        self.at_proxy(pair, Cause::TimeOut, |end| end.time_out(now));
        let late: Vec<_> = {
            let records = self.records.borrow();
            let failed = |id| matches!(&records.calls[id].outcome, Some(CallEnd::Failed(_)));
            open.iter().filter(|id| failed(id)).copied().collect()
        };
        for id in late {
            self.log(|| format!("{id} timed out"));
        }
    }
}
