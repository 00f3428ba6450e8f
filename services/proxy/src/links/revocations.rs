//! Revoked grants of the OAuth broker, told between the proxies of a fleet through slaves. Must not know tokens.
//!
//! docs/PROTOCOL.md, "Several proxies". A slave can only pass on what a proxy of the fleet said, or keep it to itself: for as long as one
//! slave passes facts on, all proxies learn them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protocol::link::revocation::{GrantId, MAX_REVOCATIONS, MAX_TOLD_REVOCATIONS, RevocationFact};
use protocol::link::session_fact::SessionFact;

use runtime::secret::SessionKeys;

use super::registry::Registry;
use super::revocation_table::Grants;
use super::slave::Slave;
use crate::metrics;

impl Registry {
    /// Sets the grants that facts of other proxies concern. Without them such facts are ignored. Only the first are kept.
    pub(crate) fn set_grants(&self, grants: impl Grants + 'static) {
        let _ = self.revocations.grants.set(Box::new(grants));
    }

    /// Has every slave told, those that connect later included, that these grants were revoked, each with its end.
    pub(crate) fn tell_revoked(&self, grants: &BTreeMap<GrantId, u64>) {
        let now = unix_now();
        let mut valid: Vec<_> = grants.iter().filter(|(_, until)| **until > now).collect();
        // Of more than are remembered, those that end last.
        valid.sort_unstable_by_key(|(_, until)| Reverse(**until));
        let told = valid.into_iter().take(MAX_REVOCATIONS);
        let facts: Vec<_> = told.map(|(grant, until)| self.fleet().revocation(*grant, *until)).collect();
        self.revocations.insert(&facts, now);
    }

    /// Replaces the session keys. All facts are made and told again: whoever has the new keys alone could not check the old ones.
    pub(crate) fn replace_keys(&self, keys: &SessionKeys) {
        self.fleet().replace_keys(keys);
        self.revocations.renew(self.fleet());
    }

    /// Tells linked slaves what they were not told yet. The caller holds no link's lock.
    fn send_pending_revocations(&self) {
        let facts = self.revocations.take_pending();
        if !facts.is_empty() {
            for slave in self.all() {
                slave.send_revocations(&facts);
            }
        }
    }

    /// Tells a slave whose link has come up all that it may have missed.
    pub(super) fn tell_known_revocations(&self, slave: &Slave) {
        slave.send_revocations(&self.revocations.valid(unix_now()));
    }

    /// Revokes the grants that were revoked at another proxy, as a slave forwards it. Nobody but a proxy of the fleet can revoke one.
    pub(super) fn on_forwarded_revocations(&self, facts: &[RevocationFact], slave: &Slave) {
        let Some(grants) = self.revocations.grants.get() else { return };
        let (now, clock) = (Instant::now(), unix_now());
        let mut revoked = BTreeMap::new();
        for fact in facts.iter().filter(|fact| fact.until > clock && !grants.is_revoked(fact.grant)) {
            if slave.false_facts.is_distrusted(now) {
                break;
            }
            if self.fleet().is_genuine_revocation(fact) {
                revoked.insert(fact.grant, fact.until);
            } else {
                slave.false_facts.record(now);
                metrics::record_rejected_fact("revocation");
                tracing::debug!(
                    slave = slave.name,
                    "A revocation that no proxy of the fleet made is ignored"
                );
            }
        }
        if !revoked.is_empty() {
            grants.revoke(&revoked);
        }
    }
}

/// Tells linked slaves of revoked grants, until the future is dropped. Where they are learned of, the lock of a link may be held.
pub(crate) async fn announce_revocations(registry: Arc<Registry>) {
    loop {
        registry.revocations.changed.notified().await;
        registry.send_pending_revocations();
    }
}

impl Slave {
    /// Sends facts about revoked grants, if the slave is linked and passes them on.
    fn send_revocations(&self, facts: &[RevocationFact]) {
        if self.takes_peers && self.is_linked() {
            for facts in facts.chunks(MAX_TOLD_REVOCATIONS) {
                self.send_session_facts(&SessionFact::Revoked(facts.to_vec()).encode());
            }
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
