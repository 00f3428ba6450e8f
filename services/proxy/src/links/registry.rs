//! All slaves this proxy knows: who is linked, who is waited for, who may come. Knows nothing of tools' names.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use tokio::sync::Notify;

use super::close_reason::CloseReason;
use super::condition::{Change, Health};
use super::facts::Facts;
use super::peers::Roster;
use super::slave::Slave;
use crate::config::SlaveMode;
use crate::metrics::{self, Held, SlaveState};
use crate::outliers::{Outliers, Policy, Turn, Verdict};

/// Slaves by instance (native) or by a made-up key (plain).
pub(crate) struct Registry {
    slaves: Mutex<BTreeMap<u64, Arc<Slave>>>,
    mode: SlaveMode,
    most: usize,
    limits: LinkLimits,
    plain: AtomicU64,
    /// Slaves that fail by a fault of the slave itself.
    pub(crate) outliers: Outliers,
    roster: Roster,
    draining: AtomicBool,
    /// Who wants to know of sessions that ended on other proxies.
    session_ended: OnceLock<SessionEnded>,
    /// Something about who offers what has changed.
    pub(crate) changed: Notify,
}

/// Told the key of a session that a client ended on another proxy.
type SessionEnded = Box<dyn Fn(&str) + Send + Sync>;

/// A slave with a link just now admitted.
pub(super) struct Admitted {
    pub(super) slave: Arc<Slave>,
    pub(super) generation: u64,
}

/// `MAX_SLAVES` are connected.
#[derive(Debug, thiserror::Error)]
#[error("{0} slaves are connected already (MAX_SLAVES)")]
pub(super) struct Full(usize);

impl Registry {
    /// `own` is this proxy's process.
    pub(crate) fn new(
        own: InstanceId,
        (mode, most): (SlaveMode, usize),
        limits: LinkLimits,
        ejection: Policy,
    ) -> Arc<Self> {
        Arc::new(Self {
            slaves: Mutex::default(),
            mode,
            most,
            limits,
            plain: AtomicU64::new(0),
            outliers: Outliers::new(ejection),
            roster: Roster::new(own),
            draining: AtomicBool::new(false),
            session_ended: OnceLock::new(),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Slave>>> {
        self.slaves.lock()
    }

    /// Bounds of the links.
    pub(crate) fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    /// Every slave, those whose link is down included, in stable order.
    pub(crate) fn all(&self) -> Vec<Arc<Slave>> {
        self.lock().values().cloned().collect()
    }

    /// How many slaves are linked.
    pub(crate) fn linked(&self) -> usize {
        self.lock().values().filter(|slave| slave.is_linked()).count()
    }

    /// How many slaves can take calls and offer something to call.
    pub(crate) fn useful(&self) -> usize {
        self.lock().values().filter(|slave| slave.condition.is_useful()).count()
    }

    /// How every slave does, in stable order: name and health.
    pub(crate) fn snapshot(&self) -> Vec<(String, Health)> {
        self.lock().values().map(|slave| (slave.name.clone(), slave.health())).collect()
    }

    /// What every slave holds, by name.
    pub(crate) fn held(&self) -> Vec<(String, Held)> {
        self.all().iter().map(|slave| (slave.name.clone(), slave.held())).collect()
    }

    /// Calls that slaves have not ended.
    pub(crate) fn calls(&self) -> usize {
        self.all().iter().map(|slave| slave.calls()).sum()
    }

    /// A slave has authenticated: it gets its place, or the link takes over that of the same process.
    pub(super) fn admit(&self, hello: Option<&SlaveHello>, facts: Facts) -> Result<Admitted, Full> {
        let now = Instant::now();
        let (slave, known) = {
            let mut slaves = self.lock();
            let instance = hello.and_then(|hello| InstanceId::parse(&hello.instance));
            let old = instance.and_then(|id| slaves.get(&id.0)).cloned();
            let linked = slaves.values().filter(|slave| slave.is_linked()).count();
            let makes_room =
                self.mode == SlaveMode::Single || old.as_ref().is_some_and(|slave| slave.is_linked());
            if linked >= self.most && !makes_room {
                return Err(Full(linked));
            }
            match (old, hello, instance) {
                (Some(slave), _, _) => (slave, true),
                (None, Some(hello), Some(id)) => {
                    let slave = Arc::new(Slave::native(hello, id.0, self.limits.clone()));
                    slaves.insert(id.0, Arc::clone(&slave));
                    (slave, false)
                }
                _ => {
                    let slave = self.new_plain(&slaves, facts.identity());
                    slaves.insert(slave.key, Arc::clone(&slave));
                    (slave, false)
                }
            }
        };
        if known {
            let replaced = slave.is_linked();
            if replaced {
                tracing::info!(
                    slave = slave.name,
                    "The same slave connects again: its older link is replaced"
                );
            }
            let reason = if replaced { "replaced" } else { slave.condition.departure() };
            metrics::link_reconnected(&slave.name, reason);
        }
        slave.become_known(facts);
        let generation = slave.link_up(hello.map_or(0, |hello| hello.window), now);
        // What changed since our hello was written.
        slave.peers(&self.roster.known().encode());
        if self.draining.load(Ordering::Acquire) {
            slave.drain();
        }
        if self.mode == SlaveMode::Single {
            self.replace_others(&slave);
        }
        self.bury_predecessors(&slave, now);
        self.slave_changed(&slave);
        Ok(Admitted { slave, generation })
    }

    /// Named by its code, or else by a number.
    fn new_plain(&self, slaves: &BTreeMap<u64, Arc<Slave>>, identity: Option<&str>) -> Arc<Slave> {
        let names: BTreeSet<&str> = slaves.values().map(|slave| slave.name.as_str()).collect();
        // One of so many names is free.
        let name = match identity {
            Some(identity) => Some(identity.to_owned()),
            None => {
                (1..=names.len() + 1).map(|n| format!("plain{n}")).find(|name| !names.contains(name.as_str()))
            }
        };
        // Plain keys have few bits set, native ones are random: they never meet.
        let key = self.plain.fetch_add(1, Ordering::Relaxed);
        Arc::new(Slave::plain(key, name.unwrap_or_default()))
    }

    fn replace_others(&self, newest: &Arc<Slave>) {
        for slave in self.all() {
            if slave.key != newest.key && slave.is_linked() {
                tracing::info!(slave = slave.name, "Replaced by a new slave (SLAVE_MODE=single)");
                slave.close(CloseReason::Replaced);
            }
        }
    }

    /// A call, or a link, says this of the slave itself.
    pub(crate) fn judged(&self, slave: &Slave, verdict: Verdict) {
        let Some(turn) = self.outliers.ended(slave.place(), verdict, Instant::now()) else { return };
        match turn {
            Turn::Ejected { time, failures, last } => {
                metrics::ejection(&slave.name, last);
                let seconds = time.as_secs_f64();
                slave.condition.ejected(format!(
                    "it gets no calls for {seconds:.1} s: {failures} failed in a row, the last with {last}"
                ));
            }
            Turn::Readmitted => slave.condition.ejected(String::new()),
        }
        self.state_changed(slave);
    }

    /// Whoever had the slave's seat before is gone, and so are the calls that it had: nobody need wait for the grace.
    fn bury_predecessors(&self, newest: &Slave, now: Instant) {
        for slave in self.all() {
            if slave.shares_seat(newest) {
                let (calls, over) = (slave.calls(), slave.bury(now));
                if over {
                    tracing::info!(slave = slave.name, calls, "The slave was restarted: what it had is lost");
                    self.forget(&slave);
                }
            }
        }
    }

    /// The slave offers something else, or takes no more calls.
    pub(super) fn slave_changed(&self, slave: &Slave) {
        self.state_changed(slave);
        self.changed.notify_one();
    }

    /// The slave does better or worse: counts it, and says it once.
    pub(super) fn state_changed(&self, slave: &Slave) {
        self.count_states(&slave.name);
        let Some(Change { health, before: (before, lasted) }) = slave.condition.news() else { return };
        let (name, lasted) = (slave.name.as_str(), lasted.as_secs_f64());
        match health.state {
            SlaveState::Ready if before == SlaveState::Degraded => {
                tracing::info!(slave = name, "Slave is ready again, after {lasted:.1} s");
            }
            SlaveState::Ready => tracing::info!(slave = name, "Slave is ready"),
            SlaveState::Degraded => tracing::warn!(slave = name, "Slave is degraded: {}", health.reason),
            SlaveState::Connecting if before != SlaveState::Lost => {
                tracing::warn!(slave = name, "Slave can take no calls: {}", health.reason);
            }
            // These have lines of their own where they come from.
            SlaveState::Connecting | SlaveState::Draining | SlaveState::Lost => {
                tracing::debug!(slave = name, "Slave is {}: {}", health.state.label(), health.reason);
            }
        }
    }

    /// Slaves may share a name (replicas of one deployment): the metric counts them by state.
    fn count_states(&self, name: &str) {
        let mut counts = [0_u32; SlaveState::ALL.len()];
        for slave in self.lock().values().filter(|slave| slave.name == name) {
            counts[slave.state() as usize] += 1;
        }
        metrics::slave_states(name, counts);
    }

    /// Nothing is waited for any more.
    pub(super) fn forget(&self, slave: &Slave) {
        {
            let mut slaves = self.lock();
            // Another of the same key may have taken its place: a process that was taken for gone.
            let known = slaves.get(&slave.key).is_some_and(|known| std::ptr::eq(&raw const **known, slave));
            if slave.is_linked() || !known {
                return;
            }
            slaves.remove(&slave.key);
        }
        let places: Vec<u64> = self.all().iter().map(|slave| slave.place()).collect();
        self.outliers.retain(|place| places.contains(&place));
        self.count_states(&slave.name);
    }

    /// Tells every slave a fact about a client session; those whose link is down, when they are back.
    pub(crate) fn broadcast(&self, facts: &Bytes) {
        for slave in self.all() {
            slave.session(facts);
        }
    }

    /// Which proxies there are.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Tells every slave that wants to know which proxies there are.
    pub(super) fn announce(&self, peers: &Bytes) {
        for slave in self.all() {
            slave.peers(peers);
        }
    }

    /// From now on `told` hears of sessions that ended on other proxies. Only the first one does.
    pub(crate) fn on_session_end(&self, told: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.session_ended.set(Box::new(told));
    }

    /// A slave passed on that a session has ended.
    pub(super) fn session_ended(&self, session: &str) {
        if let Some(told) = self.session_ended.get() {
            told(session);
        }
    }

    /// Tells every slave that nothing new comes, those that come later too.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for slave in self.all() {
            slave.drain();
        }
    }

    /// Closes every link.
    pub(crate) fn close_all(&self) {
        for slave in self.all() {
            slave.close(CloseReason::GoingAway);
        }
    }
}
