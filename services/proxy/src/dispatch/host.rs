//! Slaves as routing sees them. Must not know calls.

use std::collections::BTreeMap;

use crate::links::Slave;
use crate::routes::{Labelled, Observable, Observed};

impl Labelled for Slave {
    fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R {
        read(&self.facts().labels)
    }
}

impl Observable for Slave {
    fn observe(&self) -> Observed {
        Observed {
            name: self.name.clone(),
            labels: self.facts().labels.clone(),
            ready: self.is_ready(),
            degraded: self.is_degraded(),
            calls: self.load.in_flight(),
        }
    }
}
