//! Where calls wait while every slave that could take them is full: bounded, and fair between clients.
//!
//! A place that comes free is handed to one waiting call at once, so nobody is woken in vain and no newcomer can take
//! it first. Must not lock a slave's state: places come free while that is locked.

mod cancelled;
mod drain;
mod line;
mod turns;
mod wait;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use cancelled::Cancelled;
pub(super) use line::{Lane, Named, Ways};
use line::{Lines, Waiter, is_served, with_room};
use turns::{Next, Ticket};
pub(super) use wait::{Order, Outcome, release, wait};

use super::client::Client;
use crate::balance::{Busy, CapacityListener, Permit};
use crate::links::{Registry, Slave};
use crate::routes::Route;

/// A call that is to wait.
#[derive(Clone)]
pub(super) struct Newcomer {
    pub(super) lane: Lane,
    pub(super) client: Client,
    /// What a legacy client calls it, for cancelling.
    pub(super) named: Option<Named>,
}

/// Why a call cannot wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// So many wait already; seconds after which it is worth trying again.
    Full(usize, u32),
    /// No slave that could take it is there.
    NoSlave,
}

/// What becomes of a waiting call.
enum Verdict {
    /// This slave takes it; the place is its own.
    Place(Arc<Slave>, Permit),
    /// The last slave that could have taken it is gone.
    NoSlave,
    /// The client cancelled it.
    Cancelled,
}

/// All waiting calls of this proxy.
pub(super) struct Lobby {
    /// How many there are: what a call that does not wait looks at.
    waiting: AtomicUsize,
    lines: Mutex<Lines>,
    /// Slaves whose rate limit, or whose time without calls, is waited for, and until when.
    alarms: Mutex<HashMap<u64, Instant>>,
    cancelled: Cancelled,
    registry: Arc<Registry>,
    me: Weak<Self>,
}

/// A waiting call's place in the lobby; it leaves when this is dropped.
pub(super) struct Seat {
    lobby: Arc<Lobby>,
    at: Next<Client, Lane>,
    verdict: oneshot::Receiver<Verdict>,
}

/// What a slave's free place led to.
enum Offered {
    Handed(Waiter, Arc<Slave>),
    /// The slave may have a call at this time: its rate limit has one, or it is left out until then.
    Later(Instant),
    Nobody,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Sections under the lock keep their own books in order before anything can fail.
    mutex.lock()
}

impl Lobby {
    pub(super) fn new(registry: Arc<Registry>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            waiting: AtomicUsize::new(0),
            lines: Mutex::new(Lines::new()),
            alarms: Mutex::default(),
            cancelled: Cancelled::default(),
            registry,
            me: me.clone(),
        })
    }

    /// A call begins to wait, unless `most` of its tool do already. `ways` tells where it may go as things are now.
    pub(super) fn join(
        self: &Arc<Self>,
        newcomer: Newcomer,
        most: usize,
        ways: impl Fn() -> Option<Ways>,
    ) -> Result<Seat, Refused> {
        let mut lines = lock(&self.lines);
        if let Some((waiting, seconds)) = lines.is_full(&newcomer.lane, most) {
            return Err(Refused::Full(waiting, seconds));
        }
        let ticket = lines.ticket();
        self.sit(lines, (newcomer, ticket), ways)
    }

    /// A call that had a place and lost it again waits where it was.
    fn rejoin(
        self: &Arc<Self>,
        newcomer: Newcomer,
        ticket: Ticket,
        ways: impl Fn() -> Option<Ways>,
    ) -> Result<Seat, Refused> {
        self.sit(lock(&self.lines), (newcomer, ticket), ways)
    }

    fn sit(
        self: &Arc<Self>,
        mut lines: MutexGuard<'_, Lines>,
        (newcomer, ticket): (Newcomer, Ticket),
        ways: impl Fn() -> Option<Ways>,
    ) -> Result<Seat, Refused> {
        let Newcomer { lane, client, named } = newcomer;
        // Asked under the lock: whoever changes the ways afterwards comes by here ([`Self::refresh`]).
        let ways = ways().filter(|ways| is_served(&ways.1)).ok_or(Refused::NoSlave)?;
        let (tell, verdict) = oneshot::channel();
        let at = Next { client, lane, ticket };
        let route = ways.1.clone();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        lines.add(at.clone(), Waiter { tell, named }, ways);
        drop(lines);
        // A place may have come free between the moment when the call found none and now.
        for slave in with_room(&route) {
            self.offer(slave);
        }
        Ok(Seat { lobby: Arc::clone(self), at, verdict })
    }

    fn leave(&self, at: &Next<Client, Lane>) {
        let gone = lock(&self.lines).remove(at);
        if gone.is_some() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Hands places of this slave to waiting calls, as many as it has.
    fn offer(&self, slave: u64) {
        let mut place = None;
        while self.waiting.load(Ordering::SeqCst) > 0 {
            match self.hand_out(slave, &mut place) {
                Offered::Handed(waiter, slave) => {
                    let Some(own) = place.take() else { return };
                    // A call that has just gone: its place is for the next one.
                    if let Err(Verdict::Place(_, own)) = waiter.tell.send(Verdict::Place(slave, own)) {
                        place = Some(own);
                    }
                }
                Offered::Later(at) => return self.set_alarm(slave, at),
                Offered::Nobody => return,
            }
        }
    }

    fn hand_out(&self, slave: u64, place: &mut Option<Permit>) -> Offered {
        let mut lines = lock(&self.lines);
        let Some((next, slave)) = lines.next_for(slave, &self.registry) else {
            let until = lines.left_out_until(slave, &self.registry);
            return until.map_or(Offered::Nobody, Offered::Later);
        };
        if place.is_none() {
            match slave.try_acquire() {
                Some(Ok(own)) => *place = Some(own),
                Some(Err(Busy::RateLimited(at))) => return Offered::Later(at),
                Some(Err(Busy::AtCapacity)) | None => return Offered::Nobody,
            }
        }
        let Some(waiter) = lines.serve(&next) else { return Offered::Nobody };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Offered::Handed(waiter, slave)
    }

    /// Offers the slave's place at this time.
    fn set_alarm(&self, slave: u64, at: Instant) {
        // Without a runtime the process is ending.
        let (Ok(runtime), Some(lobby)) = (Handle::try_current(), self.me.upgrade()) else { return };
        let mut alarms = lock(&self.alarms);
        if alarms.get(&slave).is_some_and(|set| *set <= at) {
            return;
        }
        alarms.insert(slave, at);
        drop(alarms);
        runtime.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            let mut alarms = lock(&lobby.alarms);
            if alarms.get(&slave) == Some(&at) {
                alarms.remove(&slave);
            }
            drop(alarms);
            lobby.offer(slave);
        });
    }

    /// Who offers what has changed: calls whose last slave is gone are told, and new places are handed out.
    pub(super) fn refresh(&self, ways: impl Fn(&str, &Route<Slave>) -> Option<Ways>) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let (homeless, slaves) = lock(&self.lines).refresh(ways);
        self.waiting.fetch_sub(homeless.len(), Ordering::SeqCst);
        for waiter in homeless {
            // One that has just gone by itself needs no telling.
            let _ = waiter.tell.send(Verdict::NoSlave);
        }
        for slave in slaves {
            self.offer(slave);
        }
    }

    /// What a slave may have has changed otherwise than by a place that came free.
    pub(super) fn look_at(&self, slave: u64) {
        self.offer(slave);
    }

    /// Whether the client cancelled this request since then.
    pub(super) fn was_cancelled(&self, (session, request_id): &Named, since: Instant) -> bool {
        self.cancelled.has((session, request_id), since)
    }

    /// The client of this session cancelled this request.
    pub(super) fn cancel(&self, session: &str, request_id: &str) {
        self.cancelled.add((session, request_id), Instant::now());
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let cancelled = lock(&self.lines).cancel(session, request_id);
        if let Some(waiter) = cancelled {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            let _ = waiter.tell.send(Verdict::Cancelled);
        }
    }

    /// Seconds after which it is worth trying again, 1 to 60.
    fn retry_after(&self, lane: &Lane) -> u32 {
        lock(&self.lines).retry_after(lane)
    }

    /// Calls that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl CapacityListener for Lobby {
    fn on_capacity_freed(&self, slave: u64) {
        self.offer(slave);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lobby.leave(&self.at);
        // A place that was handed over at the same moment goes back with the receiver.
    }
}

#[cfg(test)]
mod tests;
