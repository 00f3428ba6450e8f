//! The processes of slaves that an operator drains, by which one that comes back is known again. Must not know links.

use std::collections::VecDeque;

use crate::access::TrustDomain;

/// Most processes of which it is kept that an operator drains them. The oldest is forgotten first.
const MAX_HELD: usize = 1024;

/// The processes that an operator drains, by which a process that comes back is known again after its slave was forgotten.
#[derive(Debug, Default)]
pub(super) struct HeldProcesses(VecDeque<(TrustDomain, String)>);

impl HeldProcesses {
    /// Returns whether an operator drains the process.
    pub(super) fn contains(&self, domain: &TrustDomain, instance: &str) -> bool {
        self.position(domain, instance).is_some()
    }

    fn position(&self, domain: &TrustDomain, instance: &str) -> Option<usize> {
        self.0.iter().position(|(of, held)| of == domain && held == instance)
    }

    /// Records that an operator drains the process, or does so no more.
    pub(super) fn set(&mut self, domain: TrustDomain, instance: &str, held: bool) {
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
        assert!(!held.contains(&domain("b"), "i"), "another code cannot be taken for it");
        held.set(domain("a"), "i", false);
        assert!(held.0.is_empty());
        for n in 0..=MAX_HELD {
            held.set(domain("a"), &n.to_string(), true);
        }
        assert_eq!(held.0.len(), MAX_HELD);
        assert!(!held.contains(&domain("a"), "0"));
    }
}
