//! Slaves that an operator drains at this proxy: they get no new calls until that is undone, those that run end. Must not know who may do so.

use std::collections::VecDeque;

use runtime::ops::Operator;

use super::audit;
use super::registry::Registry;
use super::slave::Slave;
use crate::access::TrustDomain;

/// Most processes of which it is kept that an operator drains them. The oldest is forgotten first.
const MAX_HELD: usize = 1024;

/// The processes that an operator drains, by which a process that comes back is known again after its slave was forgotten.
#[derive(Debug, Default)]
pub(super) struct HeldProcesses(VecDeque<(TrustDomain, String)>);

impl HeldProcesses {
    fn position(&self, domain: &TrustDomain, instance: &str) -> Option<usize> {
        self.0.iter().position(|(of, held)| of == domain && held == instance)
    }

    fn set(&mut self, domain: TrustDomain, instance: &str, held: bool) {
        if let Some(at) = self.position(&domain, instance) {
            self.0.remove(at);
        }
        if held {
            self.0.push_back((domain, instance.to_owned()));
        }
        if self.0.len() > MAX_HELD {
            self.0.pop_front();
        }
    }
}

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

    /// Drains a slave whose process was drained before its link broke.
    pub(super) fn restore_hold(&self, slave: &Slave) {
        let Some(process) = &slave.process else { return };
        if self.held.lock().position(&slave.grant().identity().domain(), &process.instance).is_some() {
            slave.health.set_held(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_processes_are_known_by_their_domain_and_bounded() {
        let domain = |name: &str| TrustDomain::Named(name.into());
        let mut held = HeldProcesses::default();
        held.set(domain("a"), "i", true);
        held.set(domain("a"), "i", true);
        assert_eq!(held.0.len(), 1);
        assert!(held.position(&domain("b"), "i").is_none(), "another code cannot be taken for it");
        held.set(domain("a"), "i", false);
        assert!(held.0.is_empty());
        for n in 0..=MAX_HELD {
            held.set(domain("a"), &n.to_string(), true);
        }
        assert_eq!(held.0.len(), MAX_HELD);
        assert!(held.position(&domain("a"), "0").is_none());
    }
}
