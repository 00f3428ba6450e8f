//! Revoked grants that slaves are told when their link comes up. Must not know slaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use parking_lot::Mutex;
use protocol::link::revocation::{GrantId, MAX_REVOCATIONS, RevocationFact};
use tokio::sync::Notify;

use crate::fleet::Fleet;

/// The grants of this proxy's broker, as facts of other proxies concern them.
pub(crate) trait Grants: Send + Sync {
    /// Returns whether a grant is revoked.
    fn is_revoked(&self, grant: GrantId) -> bool;

    /// Revokes grants that were revoked at another proxy, each with its end, in seconds since 1970.
    fn revoke(&self, grants: &BTreeMap<GrantId, u64>);
}

/// Facts about revoked grants, and who is told those of other proxies.
#[derive(Default)]
pub(super) struct RevocationTable {
    /// Set once; without it facts of other proxies are ignored.
    pub(super) grants: OnceLock<Box<dyn Grants>>,
    /// Facts of this proxy's making, at most [`MAX_REVOCATIONS`]: those that end last.
    facts: Mutex<BTreeSet<RevocationFact>>,
    /// Facts that linked slaves are to be told, at most as many: further ones are told when links come up.
    pending: Mutex<Vec<RevocationFact>>,
    /// Notified of facts to be told.
    pub(super) changed: Notify,
}

impl RevocationTable {
    /// Adds facts that slaves are to be told, and forgets those that have ended.
    pub(super) fn insert(&self, facts: &[RevocationFact], now: u64) {
        let mut known = self.facts.lock();
        known.extend(facts);
        while known.len() > MAX_REVOCATIONS || known.first().is_some_and(|fact| fact.until <= now) {
            known.pop_first();
        }
        drop(known);
        self.announce(facts);
    }

    fn announce(&self, facts: &[RevocationFact]) {
        let mut pending = self.pending.lock();
        let room = MAX_REVOCATIONS.saturating_sub(pending.len());
        pending.extend(facts.iter().take(room));
        self.changed.notify_one();
    }

    /// Takes the facts that linked slaves are to be told.
    pub(super) fn take_pending(&self) -> Vec<RevocationFact> {
        std::mem::take(&mut *self.pending.lock())
    }

    /// Returns all facts that have not ended.
    pub(super) fn valid(&self, now: u64) -> Vec<RevocationFact> {
        self.facts.lock().iter().filter(|fact| fact.until > now).copied().collect()
    }

    /// Makes all facts again, with the session keys of now, and has them told.
    pub(super) fn renew(&self, fleet: &Fleet) {
        let mut known = self.facts.lock();
        let renewed: Vec<_> = known.iter().map(|fact| fleet.revocation(fact.grant, fact.until)).collect();
        *known = renewed.iter().copied().collect();
        drop(known);
        self.announce(&renewed);
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::ids::InstanceId;
    use runtime::secret::SessionKey;

    use super::*;

    #[test]
    fn those_that_end_last_are_told_until_they_end() {
        let fleet = Fleet::new(InstanceId(1), &[SessionKey::derive("a")]).unwrap();
        let table = RevocationTable::default();
        let most = MAX_REVOCATIONS as u64;
        for until in 1..=most + 5 {
            table.insert(&[fleet.revocation(GrantId([1; 16]), until)], 0);
        }
        let untils = |now| table.valid(now).iter().map(|fact| fact.until).collect::<Vec<_>>();
        assert_eq!(untils(0), (6..=most + 5).collect::<Vec<_>>());
        assert_eq!((table.take_pending().len(), table.take_pending().len()), (MAX_REVOCATIONS, 0));
        assert_eq!(untils(most + 3), [most + 4, most + 5]);
        table.insert(&[], most + 3);
        assert_eq!(table.facts.lock().len(), 2, "what has ended takes no room");
    }
}
