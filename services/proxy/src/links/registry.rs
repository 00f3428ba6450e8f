//! The registry of slaves: those that are linked and those whose calls still wait for them. Must not know tools.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use protocol::link::handshake::SlaveHello;
use protocol::link::ids::InstanceId;
use protocol::link::limits::LinkLimits;
use tokio::sync::Notify;

use super::catalog::CatalogAccounts;
use super::close_reason::CloseReason;
use super::full::{NoPlace, check_code};
use super::peers::PeerTable;
use super::slave::Slave;
use crate::access::{Grant, Identity};
use crate::balance::outliers::OutlierDetector;
use crate::config::EjectionPolicy;
use crate::config::SlaveMode;
use crate::metrics;

/// All slaves by key: the instance id (native dialect) or a counter (plain dialect).
pub(crate) struct Registry {
    slaves: Mutex<BTreeMap<u64, Arc<Slave>>>,
    mode: SlaveMode,
    /// `MAX_SLAVES`.
    max_slaves: usize,
    limits: LinkLimits,
    catalogs: CatalogAccounts,
    /// Key of the next plain slave.
    next_plain: AtomicU64,
    /// Detects slaves that fail by a fault of the slave itself.
    pub(crate) outliers: OutlierDetector,
    peers: PeerTable,
    pub(super) draining: AtomicBool,
    pub(super) session_end: OnceLock<SessionEndListener>,
    /// Notified when it has changed which slave offers what.
    pub(crate) changed: Notify,
}

/// Called with the key of a session that a client ended at another proxy.
pub(super) type SessionEndListener = Box<dyn Fn(&str) + Send + Sync>;

/// A slave whose link has just been registered.
pub(super) struct Registered {
    pub(super) slave: Arc<Slave>,
    /// Number of the link.
    pub(super) generation: u64,
}

impl Registry {
    /// An empty registry. `own` identifies this proxy's process.
    pub(crate) fn new(
        own: InstanceId,
        mode: SlaveMode,
        max_slaves: usize,
        limits: LinkLimits,
        ejection: EjectionPolicy,
        catalogs: CatalogAccounts,
    ) -> Arc<Self> {
        Arc::new(Self {
            slaves: Mutex::default(),
            mode,
            max_slaves,
            limits,
            catalogs,
            next_plain: AtomicU64::new(0),
            outliers: OutlierDetector::new(ejection),
            peers: PeerTable::new(own),
            draining: AtomicBool::new(false),
            session_end: OnceLock::new(),
            changed: Notify::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Slave>>> {
        self.slaves.lock()
    }

    /// Returns the limits of all links.
    pub(crate) fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    /// Returns the table of known proxies.
    pub(crate) fn peers(&self) -> &PeerTable {
        &self.peers
    }

    /// Returns the accounts of the slaves' catalogs.
    pub(crate) fn catalogs(&self) -> &CatalogAccounts {
        &self.catalogs
    }

    /// Returns all slaves in stable order, those whose link is down included.
    pub(crate) fn all(&self) -> Vec<Arc<Slave>> {
        self.lock().values().cloned().collect()
    }

    /// Returns the number of linked slaves.
    pub(crate) fn linked_slaves(&self) -> usize {
        self.lock().values().filter(|slave| slave.is_linked()).count()
    }

    /// Returns the number of calls that have not ended.
    pub(crate) fn calls(&self) -> usize {
        self.all().iter().map(|slave| slave.calls()).sum()
    }

    /// Registers the new link of an authenticated slave. A link of a known process replaces its older one.
    pub(super) fn register(&self, hello: Option<&SlaveHello>, grant: Grant) -> Result<Registered, NoPlace> {
        let now = Instant::now();
        let (slave, known) = self.find_or_insert(hello, &grant)?;
        if known {
            report_reconnect(&slave);
        }
        slave.set_grant(grant);
        let generation = slave.link_up(hello.map_or(0, |hello| hello.window), now);
        // Peers may have changed since the proxy's hello was written.
        slave.send_peers(&self.peers.known().encode());
        if self.draining.load(Ordering::Acquire) {
            slave.send_drain();
        }
        if self.mode == SlaveMode::Single {
            self.close_others(&slave);
        }
        self.supersede(&slave, now);
        self.publish_change(&slave);
        Ok(Registered { slave, generation })
    }

    /// Returns the slave of this hello, and whether it was known already.
    fn find_or_insert(
        &self,
        hello: Option<&SlaveHello>,
        grant: &Grant,
    ) -> Result<(Arc<Slave>, bool), NoPlace> {
        let mut slaves = self.lock();
        let instance = hello.and_then(|hello| InstanceId::parse(&hello.instance));
        let known = instance.and_then(|id| slaves.get(&id.0)).cloned();
        let linked = slaves.values().filter(|slave| slave.is_linked()).count();
        let replaces =
            self.mode == SlaveMode::Single || known.as_ref().is_some_and(|slave| slave.is_linked());
        if linked >= self.max_slaves && !replaces {
            return Err(NoPlace::Proxy(linked));
        }
        if !replaces {
            check_code(slaves.values(), grant, &self.catalogs)?;
        }
        if let Some(slave) = known {
            return Ok((slave, true));
        }
        let slave = Arc::new(match (hello, instance) {
            (Some(hello), Some(id)) => {
                metrics::admit_slave(&grant.identity().to_string(), &hello.slave_name);
                Slave::native(hello, id.0, self.limits.clone())
            }
            _ => self.new_plain(&slaves, grant.identity()),
        });
        slaves.insert(slave.key, Arc::clone(&slave));
        Ok((slave, false))
    }

    /// A plain slave, named by its identity or else by a number.
    fn new_plain(&self, slaves: &BTreeMap<u64, Arc<Slave>>, identity: &Identity) -> Slave {
        let names: BTreeSet<&str> = slaves.values().map(|slave| slave.name.as_str()).collect();
        // Among one more name than there are slaves, at least one is free.
        let name = match identity.name() {
            Some(name) => Some(name.to_owned()),
            None => {
                (1..=names.len() + 1).map(|n| format!("plain{n}")).find(|name| !names.contains(name.as_str()))
            }
        };
        // Plain keys are small, native ones are random over 64 bits: they do not collide.
        let key = self.next_plain.fetch_add(1, Ordering::Relaxed);
        let name = name.unwrap_or_default();
        metrics::admit_slave(&identity.to_string(), &name);
        Slave::plain(key, name)
    }

    fn close_others(&self, newest: &Arc<Slave>) {
        for slave in self.all() {
            if slave.key != newest.key && slave.is_linked() {
                tracing::info!(slave = slave.name, "Replaced by a new slave (SLAVE_MODE=single)");
                slave.close(CloseReason::Replaced);
            }
        }
    }

    /// Marks earlier processes of the same host slot as dead: their calls are lost, without waiting for the grace.
    fn supersede(&self, newest: &Slave, now: Instant) {
        for slave in self.all() {
            if slave.shares_host_slot(newest) {
                let (calls, lost) = (slave.calls(), slave.mark_dead(now));
                if lost {
                    tracing::info!(slave = slave.name, calls, "The slave was restarted: its calls are lost");
                    self.forget(&slave);
                }
            }
        }
    }

    /// Removes a slave for which no call waits any more, unless it is linked.
    pub(super) fn forget(&self, slave: &Slave) {
        {
            let mut slaves = self.lock();
            // Another process may have registered under the same key since.
            let registered =
                slaves.get(&slave.key).is_some_and(|other| std::ptr::eq(&raw const **other, slave));
            if slave.is_linked() || !registered {
                return;
            }
            slaves.remove(&slave.key);
        }
        let slots: Vec<u64> = self.all().iter().map(|slave| slave.host_slot()).collect();
        self.outliers.retain(|slot| slots.contains(&slot));
        self.export_states(&slave.name);
    }
}

fn report_reconnect(slave: &Slave) {
    let replaced = slave.is_linked();
    if replaced {
        tracing::info!(slave = slave.name, "The same slave connects again: its older link is replaced");
    }
    let reason = if replaced { "replaced" } else { slave.health.disconnect_kind() };
    metrics::record_reconnect(&slave.name, reason);
}

#[cfg(test)]
mod tests {
    use protocol::link::handshake::PROTOCOL_NAME;
    use std::time::Duration;

    use super::*;

    fn registry(mode: SlaveMode, max_slaves: usize) -> Arc<Registry> {
        let ejection = EjectionPolicy { after: 5, base: Duration::from_secs(10) };
        let catalogs = CatalogAccounts::new(1 << 20, 64);
        Registry::new(InstanceId(1), mode, max_slaves, LinkLimits::default(), ejection, catalogs)
    }

    fn hello(instance: u64, slot: Option<&str>) -> SlaveHello {
        SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions: vec![1],
            instance: format!("{instance:016x}"),
            slave_name: format!("s{instance}"),
            window: 131_072,
            seat: slot.map(str::to_owned),
            ..SlaveHello::default()
        }
    }

    #[test]
    fn slaves_beyond_max_slaves_are_rejected_and_known_ones_may_come_back() {
        let registry = registry(SlaveMode::Multi, 2);
        let first = registry.register(Some(&hello(1, None)), Grant::default()).unwrap();
        registry.register(None, Grant::default()).unwrap();
        let Err(full) = registry.register(Some(&hello(3, None)), Grant::default()) else { panic!("full") };
        assert_eq!(full.to_string(), "2 slaves are connected already (MAX_SLAVES)");
        assert!(registry.register(None, Grant::default()).is_err(), "a plain slave likewise");
        let again = registry.register(Some(&hello(1, None)), Grant::default()).unwrap();
        assert!(Arc::ptr_eq(&first.slave, &again.slave) && first.generation < again.generation);
        assert!(again.slave.link_down(again.generation, Instant::now()));
        assert!(registry.register(Some(&hello(3, None)), Grant::default()).is_ok(), "a place came free");
    }

    #[test]
    fn in_single_mode_a_new_slave_asks_the_others_to_close() {
        let registry = registry(SlaveMode::Single, 1);
        let first = registry.register(Some(&hello(1, None)), Grant::default()).unwrap();
        let second = registry.register(Some(&hello(2, None)), Grant::default()).unwrap();
        assert_eq!(first.slave.close_request(), Some(CloseReason::Replaced));
        assert_eq!(second.slave.close_request(), None);
    }

    #[test]
    fn a_restarted_process_supersedes_the_one_in_its_host_slot() {
        let registry = registry(SlaveMode::Multi, 10);
        let old = registry.register(Some(&hello(1, Some("a"))), Grant::default()).unwrap();
        old.slave.link_down(old.generation, Instant::now());
        registry.register(Some(&hello(2, Some("b"))), Grant::default()).unwrap();
        assert_eq!(registry.all().len(), 2, "another slot changes nothing");
        let new = registry.register(Some(&hello(3, Some("a"))), Grant::default()).unwrap();
        assert_eq!(new.slave.host_slot(), old.slave.host_slot());
        assert!(registry.all().iter().all(|slave| slave.key != 1));
    }

    #[test]
    fn plain_slaves_are_named_by_identity_or_by_a_free_number() {
        let registry = registry(SlaveMode::Multi, 10);
        let names: Vec<String> =
            (0..3).map(|_| registry.register(None, Grant::default()).unwrap().slave.name.clone()).collect();
        assert_eq!(names, ["plain1", "plain2", "plain3"]);
    }
}
