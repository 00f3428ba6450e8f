//! The view that load balancing has of a slave. Must not know links.

use std::sync::Arc;

use super::active_calls::{ActiveCalls, Busy, Permit};

/// A slave as load balancing sees it.
pub(crate) trait Host {
    /// Key of the process in the registry.
    fn key(&self) -> u64;
    /// Name, which outlives the process.
    fn name(&self) -> &str;
    /// Key of outlier detection, which a restarted process keeps.
    fn host_slot(&self) -> u64;
    /// Weight that the slave announced, in percent.
    fn weight(&self) -> u32;
    /// Calls in flight and their limits.
    fn active(&self) -> &Arc<ActiveCalls>;
    /// Whether calls can be sent now.
    fn accepts_calls(&self) -> bool;
    /// Whether another slave should be picked where one can take the call.
    fn is_degraded(&self) -> bool;
    /// Whether the slave has not answered for so long that it may be paused: calls go there only if no other slave of any
    /// priority can take them.
    fn is_overdue(&self) -> bool;
    /// Acquires a permit for one more call. `None`: the slave takes no calls now.
    fn try_acquire(&self) -> Option<Result<Permit, Busy>>;
}

/// A host for tests, without a link.
#[cfg(test)]
pub(crate) struct TestHost {
    pub(crate) key: u64,
    name: String,
    pub(crate) active: Arc<ActiveCalls>,
    pub(crate) overdue: std::sync::atomic::AtomicBool,
}

#[cfg(test)]
impl TestHost {
    /// Returns a ready host named `s` and its number from 0. `capacity` 0: any number of calls.
    pub(crate) fn new(key: u64, capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            key,
            name: format!("s{}", key - 1),
            active: ActiveCalls::new(key, capacity),
            overdue: false.into(),
        })
    }
}

#[cfg(test)]
impl Host for TestHost {
    fn key(&self) -> u64 {
        self.key
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn host_slot(&self) -> u64 {
        self.key
    }

    fn weight(&self) -> u32 {
        100
    }

    fn active(&self) -> &Arc<ActiveCalls> {
        &self.active
    }

    fn accepts_calls(&self) -> bool {
        true
    }

    fn is_degraded(&self) -> bool {
        self.is_overdue()
    }

    fn is_overdue(&self) -> bool {
        self.overdue.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn try_acquire(&self) -> Option<Result<Permit, Busy>> {
        Some(self.active.try_acquire())
    }
}
