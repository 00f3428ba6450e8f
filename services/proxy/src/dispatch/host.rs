//! Slaves as routing and load balancing see them. Must not know calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::balance::host::Host;
use crate::balance::{ActiveCalls, Busy, Permit};
use crate::links::Slave;
use crate::routes::{Labelled, Observable, Observed};

impl Host for Slave {
    fn key(&self) -> u64 {
        self.key
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn host_slot(&self) -> u64 {
        Self::host_slot(self)
    }

    fn weight(&self) -> u32 {
        Self::weight(self)
    }

    fn active(&self) -> &Arc<ActiveCalls> {
        &self.active
    }

    fn accepts_calls(&self) -> bool {
        Self::accepts_calls(self)
    }

    fn is_degraded(&self) -> bool {
        Self::is_degraded(self)
    }

    fn is_overdue(&self) -> bool {
        Self::is_overdue(self)
    }

    fn try_acquire(&self) -> Option<Result<Permit, Busy>> {
        Self::try_acquire(self)
    }
}

impl Labelled for Slave {
    fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R {
        read(&self.grant().labels)
    }

    fn tells_defaults(&self) -> bool {
        self.is_native() && self.grant().allows_defaults()
    }
}

impl Observable for Slave {
    fn observe(&self) -> Observed {
        Observed {
            name: self.name.clone(),
            labels: self.grant().labels.clone(),
            ready: self.accepts_calls(),
            degraded: self.is_degraded(),
            calls: self.active.in_flight(),
        }
    }
}
