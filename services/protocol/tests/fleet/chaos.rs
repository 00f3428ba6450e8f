//! Faults of the fleet and requests of its clients, one random action at a time, with other weights in each run.

use std::time::Duration;

use crate::world::{Direction, Event, Node, World};

type Action = fn(&mut World);

/// Actions with their average weights.
const ACTIONS: [(usize, Action); 12] = [
    (600, World::client_calls),
    (15, |world| world.client_hangs_up(false)),
    (10, |world| world.client_hangs_up(true)),
    (25, World::break_connection),
    (12, World::block_one_direction),
    (10, World::block_both_directions),
    (4, World::isolate_node),
    (8, World::pause_node),
    (4, |world| world.end_node(true)),
    (3, |world| world.end_node(false)),
    (4, World::drain_node),
    (4, World::change_catalog),
];

impl World {
    /// Chooses the weights of this run, which come from the seed.
    pub(crate) fn choose_weights(&mut self) {
        let weights = ACTIONS.iter().map(|(often, _)| often * [1, 4, 4, 4, 12][self.rng.below(5)] / 4);
        self.weights = weights.map(|weight| weight.max(1)).collect();
        self.clock.after(Duration::from_secs(1), Event::Act);
    }

    pub(crate) fn act(&mut self) {
        if self.steps == 0 {
            return;
        }
        self.steps -= 1;
        let mut at = self.rng.below(self.weights.iter().sum());
        for (weight, (_, action)) in self.weights.clone().iter().zip(ACTIONS) {
            if at < *weight {
                action(self);
                break;
            }
            at -= weight;
        }
        self.check_limits();
        let pause = match self.rng.below(20) {
            0 => self.rng.between(1000, 40_000),
            1..=5 => self.rng.between(1, 2000),
            _ => self.rng.below(30),
        };
        self.clock.after(Duration::from_millis(pause as u64), Event::Act);
    }

    /// Returns how long a fault lasts: shorter and longer than ping timeout and grace.
    fn fault_duration(&mut self) -> Duration {
        let millis = match self.rng.below(4) {
            0 => self.rng.between(1, 1000),
            1 | 2 => self.rng.between(1000, 8000),
            _ => self.rng.between(8000, 90_000),
        };
        Duration::from_millis(millis as u64)
    }

    fn any_node(&mut self) -> Node {
        let nodes = self.nodes();
        self.rng.pick(&nodes).expect("there are nodes")
    }

    fn any_direction_to_slave(&mut self) -> Direction {
        let from = Node::Proxy(self.rng.below(self.proxies.len()));
        Direction { from, to: Node::Slave(self.rng.below(self.slaves.len())) }
    }

    fn break_connection(&mut self) {
        let conns: Vec<u64> = self.conns.keys().copied().collect();
        if let Some(conn) = self.rng.pick(&conns) {
            self.log(|| format!("conn {conn} breaks"));
            self.reset(conn);
        }
    }

    fn block_one_direction(&mut self) {
        let direction = self.any_direction_to_slave();
        let direction = if self.rng.one_in(2) { direction } else { direction.reversed() };
        let time = self.fault_duration();
        self.block(direction, time);
    }

    fn block_both_directions(&mut self) {
        let direction = self.any_direction_to_slave();
        let time = self.fault_duration();
        self.block(direction, time);
        self.block(direction.reversed(), time);
    }

    fn isolate_node(&mut self) {
        let node = self.any_node();
        let time = self.fault_duration();
        for other in self.nodes() {
            if other != node {
                let direction = Direction { from: node, to: other };
                self.block(direction, time);
                self.block(direction.reversed(), time);
            }
        }
    }

    fn pause_node(&mut self) {
        let (node, time, now) = (self.any_node(), self.fault_duration(), self.clock.now());
        self.log(|| format!("{node:?} is paused for {time:?}"));
        let process = self.process(node);
        let from = process.paused_until.unwrap_or(now).max(now);
        process.paused_until = Some(from + time);
        process.paused += time;
    }

    fn end_node(&mut self, announced: bool) {
        let node = self.any_node();
        if self.process(node).alive {
            self.process(node).paused_until = None;
            self.end_process(node, announced);
        }
    }

    fn drain_node(&mut self) {
        let (node, now) = (self.any_node(), self.clock.now());
        let process = self.process(node);
        if !process.alive || process.draining.is_some() || process.paused_until.is_some() {
            return;
        }
        process.draining = Some(now);
        self.log(|| format!("{node:?} drains"));
        match node {
            Node::Proxy(proxy) => self.proxies[proxy].known.values_mut().for_each(|known| known.end.drain()),
            Node::Slave(slave) => self.slaves[slave].end.drain(),
        }
        self.clock.after(Duration::from_millis(1), Event::Tick { node });
    }

    fn change_catalog(&mut self) {
        let slave = self.rng.below(self.slaves.len());
        let size = self.rng.between(1, self.limits.chunk * 4);
        let catalog = self.rng.bytes(size);
        self.slaves[slave].catalog = catalog.clone();
        if self.slaves[slave].process.alive {
            self.slaves[slave].end.set_catalog(vec![catalog.clone()], &[catalog]);
        }
        self.clock.after(Duration::from_millis(1), Event::Tick { node: Node::Slave(slave) });
    }

    /// Ends the faults and checks that all links come back, every call ends, and nothing is kept.
    pub(crate) fn finish(&mut self) {
        self.log(|| "finish".into());
        let rest = Duration::from_secs(200) + self.times.total * 2 + self.limits.grace * 2;
        self.run(self.clock.now() + rest);
        assert!(self.blocked.is_empty(), "a direction that stays blocked");
        let open: Vec<u64> = self.records.borrow().open.iter().copied().collect();
        assert!(open.is_empty(), "calls that never end: {open:?}");
        for (at, proxy) in self.proxies.iter().enumerate() {
            assert!(proxy.process.alive && proxy.adopted.is_empty(), "P{at} keeps what it adopted");
            for known in proxy.known.values() {
                assert_eq!(known.end.calls(), 0, "P{at} keeps calls of S{}", known.slave);
            }
            for slave in &self.slaves {
                let known = proxy.known.get(&slave.instance).expect("every slave comes back to every proxy");
                assert!(known.is_ready(), "P{at} is not linked to S{}", known.slave);
                assert_eq!(known.catalog.as_ref(), Some(&slave.catalog), "P{at} has an old catalog");
            }
        }
        for (at, slave) in self.slaves.iter().enumerate() {
            let end = &slave.end;
            assert_eq!((slave.jobs(), end.calls(), end.running()), (0, 0, 0), "S{at} keeps calls");
            assert_eq!((end.journal_bytes(), end.assembly_bytes()), (0, 0), "S{at} keeps bytes");
        }
        assert_eq!(self.conns.len(), self.proxies.len() * self.slaves.len(), "connections that nobody uses");
    }
}
