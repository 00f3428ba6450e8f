//! The contents of the wait queue: queues with their slaves, tools with their counts, waiting calls. Must not know tasks and
//! notifications.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::candidates::Candidates;
use super::fair::{FairQueue, Position, Ticket};
use super::pending::{CallName, QueueKey, QueuedCall};
use super::service_rate::ServiceRate;
use crate::limits::client::Client;
use crate::links::Slave;
use crate::metrics::QueueGauge;

/// Position of a waiting call.
pub(super) type CallPosition = Position<Client, QueueKey>;

/// The queue of the calls with one key.
struct RouteQueue<C> {
    candidates: C,
    members: HashMap<u64, Arc<Slave>>,
    waiting: usize,
}

/// The waiting calls of one tool, over all its queues.
struct ToolQueue {
    waiting: usize,
    rate: ServiceRate,
    gauge: QueueGauge,
}

/// All queues of the proxy.
pub(super) struct Queues<C> {
    calls: FairQueue<Client, QueueKey, QueuedCall>,
    routes: BTreeMap<QueueKey, RouteQueue<C>>,
    tools: HashMap<Arc<str>, ToolQueue>,
    named: HashMap<CallName, CallPosition>,
    last_ticket: Ticket,
}

/// Consequences of a change of the candidates.
pub(super) struct Refreshed {
    /// Calls that no slave is left for.
    pub(super) unserved: Vec<QueuedCall>,
    /// Keys of the slaves with capacity.
    pub(super) free: Vec<u64>,
}

impl<C: Candidates> RouteQueue<C> {
    fn new(candidates: C, waiting: usize) -> Self {
        let members = candidates.slaves().map(|slave| (slave.key, Arc::clone(slave))).collect();
        Self { candidates, members, waiting }
    }

    fn is_open_to(&self, slave: u64, now: Instant) -> bool {
        self.members.get(&slave).is_some_and(|slave| self.candidates.is_eligible(slave, now))
    }
}

impl<C: Candidates> Queues<C> {
    pub(super) fn new() -> Self {
        Self {
            calls: FairQueue::new(),
            routes: BTreeMap::new(),
            tools: HashMap::new(),
            named: HashMap::new(),
            last_ticket: 0,
        }
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Returns how many calls of a tool wait.
    pub(super) fn waiting(&self, key: &QueueKey) -> usize {
        self.tools.get(&key.tool).map_or(0, |tool| tool.waiting)
    }

    /// Returns the seconds after which a retry is worthwhile, from 1 to 60.
    pub(super) fn retry_after(&self, key: &QueueKey) -> u32 {
        self.tools.get(&key.tool).map_or(1, |tool| tool.rate.retry_after(tool.waiting, Instant::now()))
    }

    /// Adds a call. From now on all calls of its queue go to these candidates.
    pub(super) fn add(&mut self, at: CallPosition, call: QueuedCall, candidates: C) {
        let max_waiting = candidates.max_waiting();
        if let Some(queue) = self.routes.get_mut(&at.queue) {
            if !queue.candidates.is_same(&candidates) {
                *queue = RouteQueue::new(candidates, queue.waiting);
            }
            queue.waiting += 1;
        } else {
            self.routes.insert(at.queue.clone(), RouteQueue::new(candidates, 1));
        }
        let tool = self.tools.entry(Arc::clone(&at.queue.tool)).or_insert_with(|| ToolQueue {
            waiting: 0,
            rate: ServiceRate::new(Instant::now()),
            gauge: QueueGauge::new(&at.queue.tool, max_waiting),
        });
        tool.waiting += 1;
        tool.gauge.set(tool.waiting);
        if let Some(name) = &call.name {
            self.named.insert(name.clone(), at.clone());
        }
        self.calls.add(at, call);
    }

    /// Returns the call that is next to get a permit of this slave.
    pub(super) fn next_for(&self, slave: u64) -> Option<(CallPosition, Arc<Slave>)> {
        let now = Instant::now();
        let open: Vec<&QueueKey> = self
            .routes
            .iter()
            .filter_map(|(key, queue)| queue.is_open_to(slave, now).then_some(key))
            .collect();
        if open.is_empty() {
            return None;
        }
        let next = self.calls.next(|key| open.contains(&key))?;
        let slave = Arc::clone(self.routes.get(&next.queue)?.members.get(&slave)?);
        Some((next, slave))
    }

    /// Returns when the slave, which is ejected from all queues now, may first get a call.
    pub(super) fn ejected_until(&self, slave: u64) -> Option<Instant> {
        let now = Instant::now();
        let until = |queue: &RouteQueue<C>| queue.candidates.ejected_until(queue.members.get(&slave)?, now);
        self.routes.values().filter_map(until).min()
    }

    /// Removes a call that gets a permit.
    pub(super) fn serve(&mut self, at: &CallPosition) -> Option<QueuedCall> {
        let call = self.calls.serve(at)?;
        if let Some(tool) = self.tools.get_mut(&at.queue.tool) {
            tool.rate.record_served(Instant::now());
        }
        self.subtract(&at.queue, &call);
        Some(call)
    }

    /// Removes a call that gets no permit.
    pub(super) fn remove(&mut self, at: &CallPosition) -> Option<QueuedCall> {
        let call = self.calls.remove(at)?;
        self.subtract(&at.queue, &call);
        Some(call)
    }

    /// Removes the call of this name.
    pub(super) fn cancel(&mut self, name: &CallName) -> Option<QueuedCall> {
        let at = self.named.remove(name)?;
        self.remove(&at)
    }

    fn subtract(&mut self, key: &QueueKey, call: &QueuedCall) {
        if let Some(name) = &call.name {
            self.named.remove(name);
        }
        if let Some(queue) = self.routes.get_mut(key) {
            queue.waiting -= 1;
            if queue.waiting == 0 {
                self.routes.remove(key);
            }
        }
        if let Some(tool) = self.tools.get_mut(&key.tool) {
            tool.waiting -= 1;
            tool.gauge.set(tool.waiting);
            if tool.waiting == 0 {
                self.tools.remove(&key.tool);
            }
        }
    }

    /// Replaces the candidates of every queue; `candidates` is asked with the tool and what was known of it.
    pub(super) fn refresh(&mut self, candidates: impl Fn(&str, &C) -> Option<C>) -> Refreshed {
        let (mut unserved, mut free) = (Vec::new(), Vec::new());
        for key in self.routes.keys().cloned().collect::<Vec<_>>() {
            let Some(queue) = self.routes.get_mut(&key) else { continue };
            let candidates = candidates(&key.tool, &queue.candidates).filter(C::is_served);
            if let Some(candidates) = candidates {
                free.extend(candidates.with_capacity());
                *queue = RouteQueue::new(candidates, queue.waiting);
            } else {
                for call in self.calls.remove_queue(&key) {
                    self.subtract(&key, &call);
                    unserved.push(call);
                }
            }
        }
        free.sort_unstable();
        free.dedup();
        Refreshed { unserved, free }
    }
}
