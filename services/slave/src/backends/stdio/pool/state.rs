//! What the calls and the children of one entry share: the table of children, the limit on processes, and what running them takes. Must not
//! know calls.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use tokio::sync::Semaphore;

use super::child::Child;
use super::leases::Leases;
use crate::backends::shutdown::{ShutdownGroup, ShutdownGuard};
use crate::backends::stdio::StdioTiming;
use crate::backends::stdio::backend::StdioBackend;
use crate::backends::stdio::sharing::ChildRules;
use crate::metrics;

/// What running children takes.
pub(super) struct ChildServices {
    pub(super) group: ShutdownGroup,
    pub(super) guard: ShutdownGuard,
    pub(super) timing: StdioTiming,
}

/// The children of one entry.
pub(super) struct PoolState {
    /// The entry's first process, after which children are made.
    pub(super) first: Arc<StdioBackend>,
    pub(super) rules: ChildRules,
    pub(super) leases: Mutex<Leases<Arc<Child>>>,
    /// One permit for each process, from its start until it is gone.
    pub(super) processes: Arc<Semaphore>,
    /// `None` until the entry is registered.
    pub(super) services: OnceLock<ChildServices>,
    /// The version that the last child spoke.
    pub(super) version: Mutex<Option<Version>>,
}

impl PoolState {
    /// Returns an entry without children. `first` is its first process.
    pub(super) fn new(first: Arc<StdioBackend>, rules: ChildRules) -> Self {
        metrics::add_children(&first.name, 0.0);
        first.history.keep_children(rules.most.get());
        Self {
            first,
            rules,
            leases: Mutex::new(Leases::new(rules)),
            processes: Arc::new(Semaphore::new(rules.most.get())),
            services: OnceLock::new(),
            version: Mutex::new(None),
        }
    }

    /// Returns the failure of a call for which there is no child.
    pub(super) fn failure(&self, reason: &str, retry_after: Option<u32>) -> Failure {
        Failure::BackendFailed {
            backend: self.first.name.to_string(),
            reason: reason.to_owned(),
            retry_after,
        }
    }

    /// Returns the version that the entry's processes speak.
    pub(super) fn version(&self) -> Option<Version> {
        self.first.version_now().or(*self.version.lock())
    }
}

/// A process that counts until it is gone.
pub(super) struct Counted<'a>(&'a PoolState);

impl<'a> Counted<'a> {
    /// Counts a process that is started.
    pub(super) fn new(pool: &'a PoolState) -> Self {
        metrics::add_children(&pool.first.name, 1.0);
        pool.first.history.add_child();
        Self(pool)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        metrics::add_children(&self.0.first.name, -1.0);
        self.0.first.history.remove_child();
    }
}
