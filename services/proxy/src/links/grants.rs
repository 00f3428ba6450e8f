//! Facts about grants of the OAuth broker, told between the proxies of a fleet through slaves. Must not know tokens.
//!
//! docs/PROTOCOL.md, "Several proxies". A slave can only pass on what a proxy of the fleet said, or keep it to itself: for as long as one
//! slave passes facts on, all proxies learn them.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::link::grant_fact::{GrantFact, MAX_TOLD_GRANT_FACTS};
use protocol::link::session_fact::SessionFact;
use runtime::secret::SessionKeys;

use super::grant_tables::Grants;
use super::registry::Registry;
use super::slave::Slave;

impl Registry {
    /// Sets the grants that facts of other proxies concern. Without them such facts are ignored. Only the first are kept.
    pub(crate) fn set_grants(&self, grants: impl Grants + 'static) {
        let _ = self.grants.grants.set(Box::new(grants));
    }

    /// Replaces the session keys. All facts are made and told again: whoever has the new keys alone could not check the old ones.
    pub(crate) fn replace_keys(&self, keys: &SessionKeys) {
        self.fleet().replace_keys(keys);
        self.grants.revocations.renew(|fact| self.fleet().revocation(fact.grant, fact.until));
        self.grants.rotations.renew(|fact| self.fleet().rotation(&fact));
    }

    /// Tells a slave whose link has come up all that it may have missed.
    pub(super) fn tell_known_grants(&self, slave: &Slave) {
        let now = unix_now();
        slave.send_grant_facts(&self.grants.revocations.valid(now), SessionFact::Revoked);
        slave.send_grant_facts(&self.grants.rotations.valid(now), SessionFact::Rotated);
    }
}

impl Slave {
    /// Sends facts about grants, if the slave is linked and passes them on.
    pub(super) fn send_grant_facts<F: GrantFact>(&self, facts: &[F], of: fn(Vec<F>) -> SessionFact) {
        if self.takes_peers && self.is_linked() {
            for facts in facts.chunks(MAX_TOLD_GRANT_FACTS) {
                self.send_session_facts(&of(facts.to_vec()).encode());
            }
        }
    }
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
