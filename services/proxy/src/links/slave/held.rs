//! What a slave holds at the moment, for the metrics. Must not know links.

use super::{Carrier, Slave};
use crate::metrics::LinkUsage;

impl Slave {
    /// Calls under way, and bytes of them in memory.
    pub(in crate::links) fn held(&self) -> LinkUsage {
        let (to_slave, from_slave) = match &*self.carrier() {
            Carrier::Native(end) => end.buffered_bytes(),
            Carrier::Plain(_) => (0, 0),
        };
        LinkUsage { calls: self.load.in_flight(), to_slave, from_slave }
    }
}
