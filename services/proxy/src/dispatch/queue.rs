//! The queue in which calls wait while every slave that could take them is busy: bounded, and fair between clients.
//!
//! A freed permit is handed to one waiting call in the same step, so that no call is woken in vain and no new call takes
//! the permit first. Must not lock a slave's state, since permits are freed while that is locked, and must not know tools,
//! rules and pools.

mod cancellations;
mod candidates;
mod fair;
mod pending;
mod queues;
mod service_rate;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::balance::{Busy, CapacityListener, Permit};
use crate::links::Slave;
use cancellations::Cancellations;
pub(super) use candidates::Candidates;
use fair::{Position, Ticket};
use pending::QueuedCall;
pub(super) use pending::{CallName, Decision, EnqueueError, Pending, QueueKey};
use queues::{CallPosition, Queues};

/// The wait queue of this proxy.
pub(super) struct WaitQueue<C: Candidates> {
    /// Number of waiting calls: all that calls look at while none waits.
    waiting: AtomicUsize,
    queues: Mutex<Queues<C>>,
    /// Times at which slaves are looked at again: the end of a rate limit's wait or of an ejection.
    timers: Mutex<HashMap<u64, Instant>>,
    cancellations: Cancellations,
    weak: Weak<Self>,
}

/// A waiting call. Dropping it takes the call out of the queue.
pub(super) struct Waiter<C: Candidates> {
    queue: Arc<WaitQueue<C>>,
    at: CallPosition,
    /// Receives the decision on the call.
    pub(super) decision: oneshot::Receiver<Decision>,
}

/// Result of offering a slave's free capacity to waiting calls.
enum Handover {
    /// This call gets a permit of the slave.
    To(QueuedCall, Arc<Slave>),
    /// The slave may get a call at this time: its rate limit or its ejection ends then.
    Later(Instant),
    /// No call waits for the slave, or the slave takes none.
    Nothing,
}

impl<C: Candidates> WaitQueue<C> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new_cyclic(|weak| Self {
            waiting: AtomicUsize::new(0),
            queues: Mutex::new(Queues::new()),
            timers: Mutex::default(),
            cancellations: Cancellations::default(),
            weak: weak.clone(),
        })
    }

    /// Adds a call, unless `max_waiting` calls of its tool wait already. `candidates` returns where the call may go now.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        call: Pending,
        max_waiting: usize,
        candidates: impl Fn() -> Option<C>,
    ) -> Result<Waiter<C>, EnqueueError> {
        let mut queues = self.queues.lock();
        let waiting = queues.waiting(&call.key);
        if waiting >= max_waiting {
            return Err(EnqueueError::Full { waiting, retry_after: queues.retry_after(&call.key) });
        }
        let ticket = queues.next_ticket();
        self.insert(queues, call, ticket, candidates)
    }

    /// Puts a call that got a permit in vain back to where it was.
    pub(super) fn requeue(
        self: &Arc<Self>,
        call: Pending,
        ticket: Ticket,
        candidates: impl Fn() -> Option<C>,
    ) -> Result<Waiter<C>, EnqueueError> {
        self.insert(self.queues.lock(), call, ticket, candidates)
    }

    fn insert(
        self: &Arc<Self>,
        mut queues: MutexGuard<'_, Queues<C>>,
        call: Pending,
        ticket: Ticket,
        candidates: impl Fn() -> Option<C>,
    ) -> Result<Waiter<C>, EnqueueError> {
        let Pending { key, client, name } = call;
        // Asked under the lock: a later change of the candidates reaches this call through `refresh`.
        let candidates = candidates().filter(C::is_served).ok_or(EnqueueError::NoSlave)?;
        let (decide, decision) = oneshot::channel();
        let at = Position { client, queue: key, ticket };
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // A permit may have been freed after the call found none and before the call was counted.
        let free: Vec<u64> = candidates.with_capacity().collect();
        queues.add(at.clone(), QueuedCall { decide, name }, candidates);
        drop(queues);
        for slave in free {
            self.dispatch_permits(slave);
        }
        Ok(Waiter { queue: Arc::clone(self), at, decision })
    }

    fn remove(&self, at: &CallPosition) {
        let removed = self.queues.lock().remove(at);
        if removed.is_some() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Hands permits of this slave to waiting calls, as many as the slave has.
    pub(super) fn dispatch_permits(&self, slave: u64) {
        let mut spare = None;
        while self.waiting.load(Ordering::SeqCst) > 0 {
            match self.try_serve(slave, &mut spare) {
                Handover::To(call, slave) => {
                    let Some(permit) = spare.take() else { return };
                    // A call whose reader has just gone: the permit is for the next one.
                    if let Err(Decision::Serve(_, permit)) = call.decide.send(Decision::Serve(slave, permit))
                    {
                        spare = Some(permit);
                    }
                }
                Handover::Later(at) => return self.set_timer(slave, at),
                Handover::Nothing => return,
            }
        }
    }

    /// Takes the next call for this slave out of the queue, with a permit in `spare`.
    fn try_serve(&self, slave: u64, spare: &mut Option<Permit>) -> Handover {
        let mut queues = self.queues.lock();
        let Some((next, slave)) = queues.next_for(slave) else {
            return queues.ejected_until(slave).map_or(Handover::Nothing, Handover::Later);
        };
        if spare.is_none() {
            match slave.try_acquire() {
                Some(Ok(permit)) => *spare = Some(permit),
                Some(Err(Busy::RateLimited(at))) => return Handover::Later(at),
                Some(Err(Busy::AtCapacity)) | None => return Handover::Nothing,
            }
        }
        let Some(call) = queues.serve(&next) else { return Handover::Nothing };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Handover::To(call, slave)
    }

    /// Looks at the slave again at this time.
    fn set_timer(&self, slave: u64, at: Instant) {
        // Without a runtime the process is ending.
        let (Ok(runtime), Some(queue)) = (Handle::try_current(), self.weak.upgrade()) else { return };
        let mut timers = self.timers.lock();
        if timers.get(&slave).is_some_and(|set| *set <= at) {
            return;
        }
        timers.insert(slave, at);
        drop(timers);
        runtime.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            let mut timers = queue.timers.lock();
            if timers.get(&slave) == Some(&at) {
                timers.remove(&slave);
            }
            drop(timers);
            queue.dispatch_permits(slave);
        });
    }

    /// Replaces the candidates of every queue. Calls whose last slave is gone are told so, and capacity of new slaves is
    /// handed out. `candidates` is asked with the tool and what was known of it.
    pub(super) fn refresh(&self, candidates: impl Fn(&str, &C) -> Option<C>) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let refreshed = self.queues.lock().refresh(candidates);
        self.waiting.fetch_sub(refreshed.unserved.len(), Ordering::SeqCst);
        for call in refreshed.unserved {
            // Fails only if the call's reader has just gone.
            let _ = call.decide.send(Decision::NoSlave);
        }
        for slave in refreshed.free {
            self.dispatch_permits(slave);
        }
    }

    /// Whether the client cancelled the call of this name since then.
    pub(super) fn was_cancelled(&self, name: &CallName, since: Instant) -> bool {
        self.cancellations.contains(name, since)
    }

    /// Cancels the call of this name, if it waits, and records the cancellation.
    pub(super) fn cancel(&self, name: &CallName) {
        self.cancellations.record(name, Instant::now());
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let cancelled = self.queues.lock().cancel(name);
        if let Some(call) = cancelled {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            let _ = call.decide.send(Decision::Cancelled);
        }
    }

    /// Returns the number of waiting calls.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl<C: Candidates> CapacityListener for WaitQueue<C> {
    fn on_capacity_freed(&self, slave: u64) {
        self.dispatch_permits(slave);
    }
}

impl<C: Candidates> Waiter<C> {
    /// Returns the number by which the call keeps its position when it is put back.
    pub(super) fn ticket(&self) -> Ticket {
        self.at.ticket
    }

    /// Returns the seconds after which a retry is worthwhile, from 1 to 60.
    pub(super) fn retry_after(&self) -> u32 {
        self.queue.queues.lock().retry_after(&self.at.queue)
    }
}

impl<C: Candidates> Drop for Waiter<C> {
    fn drop(&mut self) {
        self.queue.remove(&self.at);
        // A permit that was handed over at the same moment is freed with the receiver.
    }
}

#[cfg(test)]
mod tests;
