//! What happens to wires and processes: cuts that are noticed late, reconnects, restarts, drains, time.

use std::time::Duration;

use protocol::link::ids::LinkId;
use protocol::link::proxy_end::ProxyEnd;
use protocol::link::slave_end::SlaveEnd;

use crate::record::{Cause, Outcome};
use crate::world::{Wire, World};

impl World {
    /// Nothing written from now on arrives; of what is under way a part still does.
    pub(crate) fn cut(&mut self, pair: (usize, usize)) {
        let wire = self.wires.get_mut(&pair).expect("a pair");
        if wire.broken {
            return;
        }
        wire.broken = true;
        wire.up.truncate(self.rng.below(wire.up.len() + 1));
        wire.down.truncate(self.rng.below(wire.down.len() + 1));
        self.log(|| format!("cut p{} s{}", pair.0, pair.1));
    }

    pub(crate) fn proxy_notices(&mut self, pair: (usize, usize)) {
        let wire = self.wires.get_mut(&pair).expect("a pair");
        if !wire.broken || !wire.proxy_has {
            return;
        }
        wire.proxy_has = false;
        wire.down.clear();
        let now = self.now;
        self.log(|| format!("p{} notices s{}", pair.0, pair.1));
        self.at_proxy(pair, Cause::LinkDown, |end| end.link_down(now));
    }

    pub(crate) fn slave_notices(&mut self, pair: (usize, usize)) {
        let wire = self.wires.get_mut(&pair).expect("a pair");
        if !wire.broken || !wire.slave_has {
            return;
        }
        wire.slave_has = false;
        wire.up.clear();
        let link = wire.link;
        self.slaves[pair.1].end.link_down(link, self.now);
        self.log(|| format!("s{} notices p{}", pair.1, pair.0));
    }

    /// The slave dials again, once it has given the old connection up; the proxy then does so too.
    pub(crate) fn reconnect(&mut self, pair: (usize, usize)) {
        if self.wires[&pair].slave_has {
            return;
        }
        self.proxy_notices(pair);
        self.log(|| format!("reconnect p{} s{}", pair.0, pair.1));
        let generation = self.slaves[pair.1].generation;
        if self.known[&pair].generation != generation {
            self.at_proxy(pair, Cause::Lost, ProxyEnd::fail_all);
            self.fresh_end(pair);
        }
        self.last_link += 1;
        let link = LinkId(self.last_link);
        let window = u32::try_from(self.limits.window).expect("small");
        self.wires
            .insert(pair, Wire { link, broken: false, proxy_has: true, slave_has: true, ..Wire::none() });
        self.at_proxy(pair, Cause::Traffic, |end| end.link_up(window));
        self.slaves[pair.1].end.link_up(link, window, self.limits.grace);
    }

    fn fresh_end(&mut self, pair: (usize, usize)) {
        let generation = self.slaves[pair.1].generation;
        let known = self.known.get_mut(&pair).expect("a pair");
        assert_eq!(known.end.calls(), 0, "calls of a slave that is forgotten");
        known.end = ProxyEnd::new(self.limits.clone());
        known.generation = generation;
    }

    /// The slave process dies and another one starts.
    pub(crate) fn restart(&mut self, slave: usize) {
        self.log(|| format!("restart s{slave}"));
        for proxy in 0..self.proxies {
            let pair = (proxy, slave);
            self.cut(pair);
            let wire = self.wires.get_mut(&pair).expect("a pair");
            wire.up.clear();
            wire.slave_has = false;
        }
        let slave_now = &mut self.slaves[slave];
        slave_now.end = SlaveEnd::new(self.limits.clone(), slave_now.catalog.clone());
        slave_now.generation += 1;
        slave_now.draining = false;
        for record in self.records.borrow_mut().calls.values_mut().filter(|t| t.slave == slave) {
            record.die();
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
        self.slaves[slave].end.set_catalog(catalog);
    }

    /// Time passes; whatever is due by then happens.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.log(|| format!("{time:?} pass"));
        for pair in self.pairs() {
            self.time_out(pair);
            if !self.wires[&pair].proxy_has && self.at_proxy(pair, Cause::Lost, |end| end.expire(now)) {
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

    fn time_out(&mut self, pair: (usize, usize)) {
        let now = self.now;
        let open = self.open_calls();
        self.at_proxy(pair, Cause::TimeOut, |end| end.time_out(now));
        let late: Vec<_> = {
            let records = self.records.borrow();
            let failed = |id| matches!(&records.calls[id].outcome, Some(Outcome::Failed(_)));
            open.iter().filter(|id| failed(id)).copied().collect()
        };
        for id in late {
            self.log(|| format!("{id} timed out"));
        }
    }
}
