//! The books of the lobby: lanes with their slaves, tools with their counts, waiting calls. Wakes nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::Verdict;
use super::drain::Drain;
use super::turns::{Next, Ticket, Turns};
use crate::dispatch::client::Client;
use crate::dispatch::directory::Pool;
use crate::dispatch::health;
use crate::links::{Registry, Slave};
use crate::metrics::QueueGauge;
use crate::routes::Route;

/// Calls that wait for the same slaves: those of one tool that go by the same rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::dispatch) struct Lane {
    /// As clients know it.
    pub(in crate::dispatch) tool: Arc<str>,
    rule: usize,
}

impl Lane {
    pub(in crate::dispatch) fn new(tool: &str, route: &Route<Slave>) -> Self {
        Self { tool: tool.into(), rule: route.rule_number() }
    }
}

/// Where the calls of a lane may go now.
pub(in crate::dispatch) type Ways = (Arc<Pool>, Route<Slave>);

/// A legacy client's session and its request id as it stands in JSON.
pub(in crate::dispatch) type Named = (String, String);

/// A waiting call.
pub(super) struct Waiter {
    pub(super) tell: oneshot::Sender<Verdict>,
    pub(super) named: Option<Named>,
}

/// The waiting calls of one lane.
struct Line {
    ways: Ways,
    members: HashMap<u64, Arc<Slave>>,
    waiting: usize,
}

/// The waiting calls of one tool.
struct Crowd {
    waiting: usize,
    drain: Drain,
    gauge: QueueGauge,
}

/// Everything that waits.
pub(super) struct Lines {
    turns: Turns<Client, Lane, Waiter>,
    lanes: BTreeMap<Lane, Line>,
    tools: HashMap<Arc<str>, Crowd>,
    named: HashMap<Named, Next<Client, Lane>>,
    tickets: Ticket,
}

/// Slaves that take calls and have room.
pub(super) fn with_room(route: &Route<Slave>) -> impl Iterator<Item = u64> + '_ {
    let slaves = route.priorities.iter().flat_map(|tier| tier.iter());
    slaves.filter(|slave| slave.accepts_calls() && slave.active.has_capacity()).map(|slave| slave.key)
}

impl Line {
    fn new(ways: Ways) -> Self {
        let members = ways.1.priorities.iter().flat_map(|tier| tier.iter());
        let members = members.map(|slave| (slave.key, Arc::clone(slave))).collect();
        Self { ways, members, waiting: 0 }
    }

    /// Whether this slave may have its calls: not one that is left out for its failures while others take calls.
    fn allows(&self, slave: u64, registry: &Registry, now: Instant) -> bool {
        let (pool, route) = &self.ways;
        let outliers = [&registry.outliers, &*pool.outliers];
        self.members.contains_key(&slave)
            && (!outliers.iter().any(|outliers| outliers.may_eject()) || {
                let tiers = health::sieve((&route.priorities, None), outliers, now);
                tiers.iter().flat_map(|tier| tier.iter()).any(|kept| kept.key == slave)
            })
    }
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            turns: Turns::new(),
            lanes: BTreeMap::new(),
            tools: HashMap::new(),
            named: HashMap::new(),
            tickets: 0,
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// How many calls of the lane's tool wait and when to come back, if that are `most` or more.
    pub(super) fn is_full(&self, lane: &Lane, most: usize) -> Option<(usize, u32)> {
        let waiting = self.tools.get(&lane.tool).map_or(0, |tool| tool.waiting);
        (waiting >= most).then(|| (waiting, self.retry_after(lane)))
    }

    /// Seconds after which it is worth trying again.
    pub(super) fn retry_after(&self, lane: &Lane) -> u32 {
        self.tools.get(&lane.tool).map_or(1, |tool| tool.drain.seconds(tool.waiting, Instant::now()))
    }

    /// A call waits; its lane's calls go these ways from now on.
    pub(super) fn add(&mut self, at: Next<Client, Lane>, waiter: Waiter, ways: Ways) {
        let line = self.lanes.entry(at.lane.clone()).or_insert_with(|| Line::new(ways.clone()));
        if !Arc::ptr_eq(&line.ways.1.priorities, &ways.1.priorities) {
            *line = Line { waiting: line.waiting, ..Line::new(ways) };
        }
        line.waiting += 1;
        let most = line.ways.0.balance.queue.most;
        let tool = self.tools.entry(Arc::clone(&at.lane.tool)).or_insert_with(|| Crowd {
            waiting: 0,
            drain: Drain::new(Instant::now()),
            gauge: QueueGauge::new(&at.lane.tool, most),
        });
        tool.waiting += 1;
        tool.gauge.set(tool.waiting);
        if let Some(named) = &waiter.named {
            self.named.insert(named.clone(), at.clone());
        }
        self.turns.add(at, waiter);
    }

    /// Whose turn it is to get a place on this slave.
    pub(super) fn next_for(
        &self,
        slave: u64,
        registry: &Registry,
    ) -> Option<(Next<Client, Lane>, Arc<Slave>)> {
        let now = Instant::now();
        let open: Vec<&Lane> = self
            .lanes
            .iter()
            .filter_map(|(lane, line)| line.allows(slave, registry, now).then_some(lane))
            .collect();
        if open.is_empty() {
            return None;
        }
        let next = self.turns.next(|lane| open.contains(&lane))?;
        let slave = Arc::clone(self.lanes.get(&next.lane)?.members.get(&slave)?);
        Some((next, slave))
    }

    /// When the first of its calls may have the slave that is left out of all of them now.
    pub(super) fn left_out_until(&self, slave: u64, registry: &Registry) -> Option<Instant> {
        let now = Instant::now();
        let until = |line: &Line| {
            let place = line.members.get(&slave)?.host_slot();
            let ends = [&registry.outliers, &*line.ways.0.outliers].map(|of| of.ejected_until(place, now));
            ends.into_iter().flatten().max()
        };
        self.lanes.values().filter_map(until).min()
    }

    /// This call gets a place.
    pub(super) fn serve(&mut self, at: &Next<Client, Lane>) -> Option<Waiter> {
        let waiter = self.turns.serve(at)?;
        if let Some(tool) = self.tools.get_mut(&at.lane.tool) {
            tool.drain.served(Instant::now());
        }
        self.count_off(&at.lane, &waiter);
        Some(waiter)
    }

    /// This call goes without one.
    pub(super) fn remove(&mut self, at: &Next<Client, Lane>) -> Option<Waiter> {
        let waiter = self.turns.remove(at)?;
        self.count_off(&at.lane, &waiter);
        Some(waiter)
    }

    /// The call that a client knows by this name goes without a place.
    pub(super) fn cancel(&mut self, session: &str, request_id: &str) -> Option<Waiter> {
        let at = self.named.remove(&(session.to_owned(), request_id.to_owned()))?;
        self.remove(&at)
    }

    fn count_off(&mut self, lane: &Lane, waiter: &Waiter) {
        if let Some(named) = &waiter.named {
            self.named.remove(named);
        }
        if let Some(line) = self.lanes.get_mut(lane) {
            line.waiting -= 1;
            if line.waiting == 0 {
                self.lanes.remove(lane);
            }
        }
        if let Some(tool) = self.tools.get_mut(&lane.tool) {
            tool.waiting -= 1;
            tool.gauge.set(tool.waiting);
            if tool.waiting == 0 {
                self.tools.remove(&lane.tool);
            }
        }
    }

    /// Takes the ways of every lane anew. Returns the calls that no slave is left for, and the slaves with room.
    pub(super) fn refresh(
        &mut self,
        ways: impl Fn(&str, &Route<Slave>) -> Option<Ways>,
    ) -> (Vec<Waiter>, Vec<u64>) {
        let (mut homeless, mut slaves) = (Vec::new(), Vec::new());
        for lane in self.lanes.keys().cloned().collect::<Vec<_>>() {
            let Some(line) = self.lanes.get_mut(&lane) else { continue };
            let ways = ways(&lane.tool, &line.ways.1).filter(|ways| is_served(&ways.1));
            if let Some(ways) = ways {
                slaves.extend(with_room(&ways.1));
                *line = Line { waiting: line.waiting, ..Line::new(ways) };
            } else {
                for waiter in self.turns.remove_lane(&lane) {
                    self.count_off(&lane, &waiter);
                    homeless.push(waiter);
                }
            }
        }
        slaves.sort_unstable();
        slaves.dedup();
        (homeless, slaves)
    }
}

/// Whether any slave there takes calls.
pub(super) fn is_served(route: &Route<Slave>) -> bool {
    route.priorities.iter().flat_map(|tier| tier.iter()).any(|slave| slave.accepts_calls())
}
