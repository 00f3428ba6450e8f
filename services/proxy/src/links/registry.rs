//! The registry of slaves: those that are linked and those whose calls still wait for them. Must not know tools.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use protocol::link::limits::LinkLimits;
use protocol::link::session_fact::SessionEnd;
use tokio::sync::Notify;

use super::catalog::CatalogAccounts;
use super::grant_tables::GrantTables;
use super::held::HeldProcesses;
use super::peers::PeerTable;
use super::slave::Slave;
use crate::balance::outliers::OutlierDetector;
use crate::config::EjectionPolicy;
use crate::config::SlaveMode;
use crate::fleet::Fleet;

/// All slaves by key: a random number, which operators see as the slave's id and which proves nothing.
pub(crate) struct Registry {
    slaves: Mutex<BTreeMap<u64, Arc<Slave>>>,
    pub(super) mode: SlaveMode,
    /// `MAX_SLAVES`.
    pub(super) max_slaves: usize,
    limits: LinkLimits,
    catalogs: CatalogAccounts,
    /// Makes host slots of seats; random, so that nobody can aim at another's slot.
    pub(super) slots: RandomState,
    /// Detects slaves that fail by a fault of the slave itself.
    pub(crate) outliers: OutlierDetector,
    fleet: Arc<Fleet>,
    peers: PeerTable,
    pub(super) draining: AtomicBool,
    /// What operators drain.
    pub(super) held: Mutex<HeldProcesses>,
    pub(super) session_end: OnceLock<SessionEndListener>,
    pub(super) grants: GrantTables,
    /// Notified when it has changed which slave offers what.
    pub(crate) changed: Notify,
}

/// What calls can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No slave is linked.
    NoSlave,
    /// All linked slaves drain.
    Draining,
    /// At least one slave takes calls.
    Ready,
}

/// Called with the end of a session that a client ended at another proxy of the fleet.
pub(super) type SessionEndListener = Box<dyn Fn(&SessionEnd) + Send + Sync>;

impl Registry {
    /// An empty registry of this proxy, which is of this fleet.
    pub(crate) fn new(
        fleet: Arc<Fleet>,
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
            slots: RandomState::new(),
            outliers: OutlierDetector::new(ejection),
            peers: PeerTable::new(Arc::clone(&fleet)),
            fleet,
            draining: AtomicBool::new(false),
            held: Mutex::default(),
            session_end: OnceLock::new(),
            grants: GrantTables::default(),
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

    /// Returns the fleet of this proxy.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
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

    /// Returns whether any slave takes calls.
    pub(crate) fn reach(&self) -> Reach {
        let slaves = self.lock();
        if slaves.values().any(|slave| slave.accepts_calls()) {
            Reach::Ready
        } else if slaves.values().any(|slave| slave.is_linked()) {
            Reach::Draining
        } else {
            Reach::NoSlave
        }
    }

    /// Returns the number of calls that have not ended.
    pub(crate) fn calls(&self) -> usize {
        self.all().iter().map(|slave| slave.calls()).sum()
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
