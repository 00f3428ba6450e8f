//! Slaves that an operator drains at this proxy: they get no new calls until that is undone, those that run end. Must not know who may do so.

use runtime::ops::Operator;

use super::audit;
use super::registry::Registry;
use super::slave::Slave;

impl Registry {
    /// Begins or ends the drain of a slave by an operator. Returns the slave's name; `None`: no slave has this id.
    pub(crate) fn hold(&self, id: &str, held: bool, operator: &Operator) -> Option<String> {
        let slave = self.all().into_iter().find(|slave| slave.id() == id)?;
        if let Some(process) = &slave.process {
            self.held.lock().set(slave.grant().identity().domain(), &process.instance, held);
        }
        if slave.health.set_held(held) {
            let name = slave.name.as_str();
            if held {
                tracing::info!(
                    slave = name,
                    calls = slave.calls(),
                    "An operator drains the slave: it gets no new calls"
                );
            } else {
                tracing::info!(slave = name, "An operator lets the slave take calls again");
            }
            self.publish_change(&slave);
        }
        audit::held(&slave, held, operator);
        Some(slave.name.clone())
    }

    /// Returns whether an operator drains a linked slave.
    pub(crate) fn has_held_slave(&self) -> bool {
        self.lock().values().any(|slave| slave.is_linked() && slave.health.is_held())
    }

    /// Drains a slave whose process was drained before its link broke.
    pub(super) fn restore_hold(&self, slave: &Slave) {
        let Some(process) = &slave.process else { return };
        if self.held.lock().contains(&slave.grant().identity().domain(), &process.instance) {
            slave.health.set_held(true);
        }
    }
}
