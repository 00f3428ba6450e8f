//! State of the fleet and its event loop. Every random choice comes from the seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use protocol::link::ids::CallId;
use protocol::link::limits::LinkLimits;

use crate::clock::Clock;
use crate::flow::Flows;
use crate::net::{Conn, Side};
use crate::proxy::Proxy;
use crate::record::{Notice, ProxyEpoch, Records, SharedRecords};
use crate::rng::Rng;
use crate::slave::Slave;

/// Process and its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Proxy(usize),
    Slave(usize),
}

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Direction {
    pub(crate) from: Node,
    pub(crate) to: Node,
}

impl Direction {
    pub(crate) fn reversed(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// State of any process.
#[derive(Default)]
pub(crate) struct Process {
    /// Number of the current start.
    pub(crate) epoch: u64,
    pub(crate) alive: bool,
    pub(crate) draining: Option<Duration>,
    pub(crate) paused_until: Option<Duration>,
    /// Sum of all pauses, over all starts.
    pub(crate) paused: Duration,
    /// When the process runs its timers next; an earlier time replaces this one.
    wake: Option<Duration>,
}

/// Event of the simulation.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    Arrive { conn: u64, side: Side },
    Unblock { direction: Direction },
    Tick { node: Node },
    Start { node: Node },
    Dial { slave: usize, epoch: u64, proxy: usize },
    DialTimeout { conn: u64, slave: usize },
    Work { slave: usize, epoch: u64, call: CallId },
    Call { no: u64, proxy: usize },
    Retry { no: u64, at: ProxyEpoch },
    Read { no: u64, at: ProxyEpoch },
    Resume { no: u64 },
    Act,
}

/// Timings that are the same for all links of a run.
pub(crate) struct Times {
    pub(crate) ping: Duration,
    pub(crate) dead: Duration,
    pub(crate) silence: Duration,
    pub(crate) total: Duration,
    /// Longest time before the next message of a backend, in milliseconds.
    pub(crate) think: usize,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) clock: Clock<Event>,
    pub(crate) limits: LinkLimits,
    pub(crate) times: Times,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) slaves: Vec<Slave>,
    pub(crate) conns: BTreeMap<u64, Conn>,
    pub(crate) last_conn: u64,
    pub(crate) last_call: u64,
    pub(crate) last_instance: u64,
    pub(crate) blocked: BTreeMap<Direction, u32>,
    /// Times of death of slave processes.
    pub(crate) died_at: BTreeMap<u64, Duration>,
    pub(crate) records: SharedRecords,
    pub(crate) flows: Flows,
    pub(crate) weights: Vec<usize>,
    pub(crate) steps: usize,
    /// A slave is forgetting calls whose retention is over.
    pub(crate) expiring: bool,
    trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::new(seed);
        let chunk = rng.between(16, 200);
        let limits = LinkLimits {
            chunk,
            window: rng.between(2 * chunk, 9 * chunk).max(200),
            message: chunk * 100,
            journal: usize::MAX / 2,
            assembly: usize::MAX / 2,
            grace: Duration::from_secs(rng.between(2, 40) as u64),
        };
        let silence = Duration::from_secs(rng.between(3, 100) as u64);
        let times = Times {
            ping: Duration::from_millis(1500),
            dead: Duration::from_secs(4),
            silence,
            total: silence * rng.between(1, 4) as u32,
            think: [20, 500, 5000, 60_000][rng.below(4)],
        };
        let (proxies, slaves) = (rng.between(1, 3), rng.between(1, 4));
        let mut world = Self {
            rng,
            clock: Clock::new(),
            limits,
            times,
            proxies: (0..proxies).map(|_| Proxy::default()).collect(),
            slaves: (0..slaves).map(|_| Slave::new(proxies)).collect(),
            conns: BTreeMap::new(),
            last_conn: 0,
            last_call: 0,
            last_instance: 0,
            blocked: BTreeMap::new(),
            died_at: BTreeMap::new(),
            records: Rc::new(RefCell::new(Records::default())),
            flows: Flows::default(),
            weights: Vec::new(),
            steps,
            expiring: false,
            trace: std::env::var_os("SIM_TRACE").is_some(),
        };
        for node in world.nodes() {
            world.clock.after(Duration::ZERO, Event::Start { node });
        }
        world
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        let proxies = (0..self.proxies.len()).map(Node::Proxy);
        proxies.chain((0..self.slaves.len()).map(Node::Slave)).collect()
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>14.6} {}", self.clock.now().as_secs_f64(), what());
        }
    }

    pub(crate) fn process(&mut self, node: Node) -> &mut Process {
        match node {
            Node::Proxy(proxy) => &mut self.proxies[proxy].process,
            Node::Slave(slave) => &mut self.slaves[slave].process,
        }
    }

    /// Runs all events that are due until then.
    pub(crate) fn run(&mut self, until: Duration) {
        while let Some((due, event)) = self.clock.next(until) {
            let node = self.node_of(&event);
            if let Some(node) = node {
                let process = self.process(node);
                if let Some(end) = process.paused_until {
                    if end > due.0 {
                        self.clock.put_off(due, end, event);
                        continue;
                    }
                    process.paused_until = None;
                }
            }
            self.handle(event);
            self.handle_notices();
            if let Some(node) = node {
                self.step(node);
            }
        }
        self.clock.pass_to(until);
    }

    /// Returns the process that has to run for this event.
    fn node_of(&self, event: &Event) -> Option<Node> {
        match event {
            Event::Arrive { conn, side } => self.conns.get(conn).map(|conn| conn.node(*side)),
            Event::Tick { node } | Event::Start { node } => Some(*node),
            Event::Dial { slave, .. } | Event::DialTimeout { slave, .. } | Event::Work { slave, .. } => {
                Some(Node::Slave(*slave))
            }
            Event::Call { proxy, .. } => Some(Node::Proxy(*proxy)),
            Event::Retry { at, .. } | Event::Read { at, .. } => Some(Node::Proxy(at.proxy)),
            Event::Unblock { .. } | Event::Resume { .. } | Event::Act => None,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { conn, side } => {
                if let Some(message) = self.arrive(conn, side) {
                    match side {
                        Side::Proxy => self.proxy_receives(conn, message),
                        Side::Slave => self.slave_receives(conn, message),
                    }
                }
            }
            Event::Unblock { direction } => self.unblock(direction),
            Event::Tick { node } => {
                let now = self.clock.now();
                let process = self.process(node);
                // A timer that was replaced by an earlier one does nothing.
                process.wake = process.wake.filter(|wake| *wake > now);
            }
            Event::Start { node } => self.start(node),
            Event::Dial { slave, epoch, proxy } => self.dial(slave, epoch, proxy),
            Event::DialTimeout { conn, .. } => self.dial_timeout(conn),
            Event::Work { slave, epoch, call } => self.work(slave, epoch, call),
            Event::Call { no, proxy } => self.call_arrives(no, proxy),
            Event::Retry { no, at } if self.is_running(at) => self.retry_open(no),
            Event::Read { no, at } if self.is_running(at) => self.read(no),
            Event::Retry { .. } | Event::Read { .. } => {}
            Event::Resume { no } => self.resume(no),
            Event::Act => self.act(),
        }
    }

    /// Returns whether this start of a proxy is still running.
    fn is_running(&self, at: ProxyEpoch) -> bool {
        let process = &self.proxies[at.proxy].process;
        process.alive && process.epoch == at.epoch
    }

    /// Acts on the notices of sinks.
    fn handle_notices(&mut self) {
        loop {
            let notices = std::mem::take(&mut self.records.borrow_mut().notices);
            if notices.is_empty() {
                return;
            }
            for notices in notices {
                match notices {
                    Notice::Readable(no) => self.schedule_read(no),
                    Notice::Unsent(no) => self.moves(no),
                }
            }
        }
    }

    /// Runs the timers of a process and sends its frames.
    fn step(&mut self, node: Node) {
        if !self.process(node).alive {
            return;
        }
        let next = match node {
            Node::Proxy(proxy) => self.run_proxy(proxy),
            Node::Slave(slave) => self.run_slave(slave),
        };
        self.handle_notices();
        let now = self.clock.now();
        let process = self.process(node);
        if let Some(next) = next.filter(|at| process.alive && process.wake.is_none_or(|wake| *at < wake)) {
            // A timer that is overdue waits for something else, such as buffer space.
            let next = if next > now { next } else { now + Duration::from_millis(20) };
            process.wake = Some(next);
            self.clock.at(next, Event::Tick { node });
        }
    }

    fn start(&mut self, node: Node) {
        if self.process(node).alive {
            return;
        }
        self.last_instance += 1;
        let instance = self.last_instance;
        let process = self.process(node);
        *process =
            Process { epoch: process.epoch + 1, alive: true, paused: process.paused, ..Process::default() };
        self.log(|| format!("{node:?} starts as {instance}"));
        match node {
            Node::Proxy(proxy) => self.start_proxy(proxy, instance),
            Node::Slave(slave) => self.start_slave(slave, instance),
        }
    }
}
