//! The policy in force while the process runs. Must not know files.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::policy::Policy;

/// The policy in force. Clones share it.
#[derive(Clone, Debug)]
pub struct PolicyStore(Arc<ArcSwap<Policy>>);

impl PolicyStore {
    /// Creates a store with this policy in force.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self(Arc::new(ArcSwap::new(policy)))
    }

    /// Returns the policy in force.
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Replaces the policy.
    pub fn replace(&self, policy: Arc<Policy>) {
        self.0.store(policy);
    }
}
