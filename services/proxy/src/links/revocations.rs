//! Revoked grants of the OAuth broker, told between the proxies of a fleet through slaves. Must not know tokens.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::link::grant_fact::{GrantId, MAX_GRANT_FACTS};
use protocol::link::revocation::RevocationFact;
use protocol::link::session_fact::SessionFact;

use super::grants::unix_now;
use super::registry::Registry;
use super::slave::Slave;

impl Registry {
    /// Has every slave told, those that connect later included, that these grants were revoked, each with its end.
    pub(crate) fn tell_revoked(&self, grants: &BTreeMap<GrantId, u64>) {
        let now = unix_now();
        let mut valid: Vec<_> = grants.iter().filter(|(_, until)| **until > now).collect();
        // Of more than are remembered, those that end last.
        valid.sort_unstable_by_key(|(_, until)| Reverse(**until));
        let told = valid.into_iter().take(MAX_GRANT_FACTS);
        let facts: Vec<_> = told.map(|(grant, until)| self.fleet().revocation(*grant, *until)).collect();
        self.grants.revocations.insert(&facts, now);
    }

    /// Tells linked slaves what they were not told yet. The caller holds no link's lock.
    pub(super) fn send_pending_revocations(&self) {
        let facts = self.grants.revocations.take_pending();
        if !facts.is_empty() {
            for slave in self.all() {
                slave.send_grant_facts(&facts, SessionFact::Revoked);
            }
        }
    }

    /// Revokes the grants that were revoked at another proxy, as a slave forwards it. Nobody but a proxy of the fleet can revoke one.
    pub(super) fn on_forwarded_revocations(&self, facts: &[RevocationFact], slave: &Slave) {
        let Some(grants) = self.grants.grants.get() else { return };
        let (now, clock) = (Instant::now(), unix_now());
        let mut revoked = BTreeMap::new();
        for fact in facts.iter().filter(|fact| fact.until > clock && !grants.is_revoked(fact.grant)) {
            if slave.is_distrusted(now) {
                break;
            }
            if self.fleet().is_genuine_revocation(fact) {
                revoked.insert(fact.grant, fact.until);
            } else {
                slave.record_false_fact("revocation", now);
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
        registry.grants.revocations.changed.notified().await;
        registry.send_pending_revocations();
    }
}
