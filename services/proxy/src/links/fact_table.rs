//! Facts about grants of the OAuth broker, as slaves are told them: those that are linked at once, others when their link comes up. Must not
//! know slaves, nor what facts say.

use parking_lot::Mutex;
use protocol::link::grant_fact::{GrantFact, GrantFacts};
use tokio::sync::Notify;

/// Facts of one kind, of this proxy's making.
pub(super) struct FactTable<F> {
    /// Those that slaves are told when their link comes up.
    facts: Mutex<GrantFacts<F>>,
    /// Those that linked slaves are to be told: of each grant the newest.
    pending: Mutex<GrantFacts<F>>,
    /// Notified of facts to be told.
    pub(super) changed: Notify,
}

impl<F> Default for FactTable<F> {
    fn default() -> Self {
        Self { facts: Mutex::default(), pending: Mutex::default(), changed: Notify::new() }
    }
}

impl<F: GrantFact> FactTable<F> {
    /// Adds facts that slaves are to be told, and forgets those that have ended.
    pub(super) fn insert(&self, facts: &[F], now: u64) {
        let mut known = self.facts.lock();
        for fact in facts {
            known.insert(*fact);
        }
        known.expire(now);
        drop(known);
        self.announce(facts);
    }

    fn announce(&self, facts: &[F]) {
        let mut pending = self.pending.lock();
        for fact in facts {
            pending.insert(*fact);
        }
        drop(pending);
        self.changed.notify_one();
    }

    /// Takes the facts that linked slaves are to be told.
    pub(super) fn take_pending(&self) -> Vec<F> {
        std::mem::take(&mut *self.pending.lock()).iter().collect()
    }

    /// Returns all facts that have not ended.
    pub(super) fn valid(&self, now: u64) -> Vec<F> {
        self.facts.lock().iter().filter(|fact| fact.until() > now).collect()
    }

    /// Makes all facts again, with the session keys of now, and has them told.
    pub(super) fn renew(&self, make: impl Fn(F) -> F) {
        let mut known = self.facts.lock();
        let renewed: Vec<F> = known.iter().map(make).collect();
        for fact in &renewed {
            known.insert(*fact);
        }
        drop(known);
        self.announce(&renewed);
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::grant_fact::{GrantId, MAX_GRANT_FACTS};
    use protocol::link::rotation::RotationFact;

    use super::*;

    fn fact(grant: u64, generation: u64) -> RotationFact {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&grant.to_be_bytes());
        RotationFact { until: grant, grant: GrantId(id), generation, token: [1; 16], tag: [1; 16] }
    }

    #[test]
    fn those_that_end_last_are_told_until_they_end() {
        let table = FactTable::default();
        let most = MAX_GRANT_FACTS as u64;
        for grant in 1..=most + 5 {
            table.insert(&[fact(grant, 1)], 0);
        }
        let untils = |now| table.valid(now).iter().map(|fact| fact.until).collect::<Vec<_>>();
        assert_eq!(untils(0), (6..=most + 5).collect::<Vec<_>>());
        assert_eq!((table.take_pending().len(), table.take_pending().len()), (MAX_GRANT_FACTS, 0));
        assert_eq!(untils(most + 3), [most + 4, most + 5]);
        table.insert(&[], most + 3);
        assert_eq!(table.facts.lock().iter().count(), 2, "what has ended takes no room");
    }

    #[test]
    fn of_a_grant_the_newest_is_told() {
        let table = FactTable::default();
        for generation in [1, 3, 2] {
            table.insert(&[fact(9, generation)], 0);
        }
        assert_eq!((table.take_pending(), table.valid(0)), (vec![fact(9, 3)], vec![fact(9, 3)]));
    }

    #[test]
    fn all_are_made_and_told_again_under_other_keys() {
        let table = FactTable::default();
        table.insert(&[fact(8, 1), fact(9, 1)], 0);
        table.take_pending();
        table.renew(|fact| RotationFact { tag: [2; 16], ..fact });
        let renewed = [8, 9].map(|grant| RotationFact { tag: [2; 16], ..fact(grant, 1) });
        assert_eq!((table.take_pending(), table.valid(0)), (renewed.to_vec(), renewed.to_vec()));
    }
}
