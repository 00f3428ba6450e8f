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
    /// Acquires a permit for one more call. `None`: the slave takes no calls now.
    fn try_acquire(&self) -> Option<Result<Permit, Busy>>;
}
