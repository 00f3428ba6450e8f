//! Slaves as routing sees them. Must not know calls.

use std::collections::BTreeMap;

use crate::links::Slave;
use crate::routes::{Labelled, Observable, Observed};

impl Labelled for Slave {
    fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R {
        read(&self.grant().labels)
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
