//! Facts about grants that proxies told, kept for proxies that come back. Must not know links, nor how facts are authenticated.
//!
//! docs/PROTOCOL.md, "Several proxies".

use protocol::link::fleet::FleetKeys;
use protocol::link::grant_fact::{GrantFact, GrantFacts};

/// Most fleets whose facts are kept; the one that was heard of first is forgotten first.
const MAX_FLEETS: usize = 8;

/// Seconds for which a fact is kept beyond its end: the clock of a proxy may be behind this one's.
const CLOCK_MARGIN: u64 = 600;

struct OfFleet<F> {
    keys: FleetKeys,
    facts: GrantFacts<F>,
}

/// Facts of one kind by the fleets that told them: no fleet takes the room of another.
pub(super) struct KnownGrantFacts<F>(Vec<OfFleet<F>>);

impl<F> Default for KnownGrantFacts<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: GrantFact> KnownGrantFacts<F> {
    /// Takes facts that a proxy of this fleet told. Returns those that are new.
    pub(super) fn insert(&mut self, keys: &FleetKeys, facts: &[F], now: u64) -> Vec<F> {
        let known = self.of_fleet(keys);
        let is_new = |fact: &&F| fact.until().saturating_add(CLOCK_MARGIN) > now && known.insert(**fact);
        facts.iter().filter(is_new).copied().collect()
    }

    /// Returns the facts that a proxy of this fleet is to be told when its link comes up. Its keys are the fleet's from then on.
    pub(super) fn for_fleet(&mut self, keys: &FleetKeys, now: u64) -> Vec<F> {
        let Some(fleet) = self.0.iter_mut().find(|fleet| fleet.keys.shares_a_key(keys)) else {
            return Vec::new();
        };
        fleet.keys = *keys;
        fleet.facts.expire(now.saturating_sub(CLOCK_MARGIN));
        fleet.facts.iter().collect()
    }

    fn of_fleet(&mut self, keys: &FleetKeys) -> &mut GrantFacts<F> {
        let known = self.0.iter().position(|fleet| fleet.keys.shares_a_key(keys));
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= MAX_FLEETS {
                self.0.remove(0);
            }
            self.0.push(OfFleet { keys: *keys, facts: GrantFacts::default() });
            self.0.len() - 1
        });
        &mut self.0[at].facts
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::fleet::FleetKey;
    use protocol::link::grant_fact::{GrantId, MAX_GRANT_FACTS};
    use protocol::link::revocation::RevocationFact;
    use protocol::link::rotation::RotationFact;

    use super::*;

    type Known = KnownGrantFacts<RevocationFact>;

    fn keys(keys: &[u8]) -> FleetKeys {
        FleetKeys::new(keys.iter().map(|key| FleetKey([*key; 32])))
    }

    fn id(number: u64) -> GrantId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        GrantId(id)
    }

    fn fact(until: u64, tag: u8) -> RevocationFact {
        RevocationFact { until, grant: id(until), tag: [tag; 16] }
    }

    #[test]
    fn facts_are_new_once_and_told_to_their_fleet_alone_until_they_end() {
        let mut known = Known::default();
        let told = [fact(2000, 1), fact(3000, 1)];
        assert_eq!(known.insert(&keys(&[1]), &told, 0), told);
        assert_eq!(known.insert(&keys(&[1]), &[fact(3000, 1), fact(4000, 1)], 0), [fact(4000, 1)]);
        assert_eq!(known.for_fleet(&keys(&[7]), 0), []);
        let all = [fact(2000, 1), fact(3000, 1), fact(4000, 1)];
        assert_eq!(known.for_fleet(&keys(&[1]), 0), all);
        assert_eq!(
            known.for_fleet(&keys(&[1]), 2000 + CLOCK_MARGIN),
            all[1..],
            "one has ended, by any clock"
        );
        assert_eq!(known.insert(&keys(&[1]), &[fact(5000, 1)], 5000 + CLOCK_MARGIN), [], "ended");
    }

    /// Whoever has the new session key alone could check nothing made under the old one, and would take the slave for a liar.
    #[test]
    fn what_is_told_again_under_a_new_session_key_replaces_what_was_told_under_the_old_one() {
        let mut known = Known::default();
        let told = |tag| [fact(2000, tag), fact(3000, tag)];
        known.insert(&keys(&[1]), &told(1), 0);
        assert_eq!(known.insert(&keys(&[2, 1]), &told(2), 0), told(2), "news to those who have the new one");
        assert_eq!(known.for_fleet(&keys(&[2, 1]), 0), told(2));
        assert_eq!(known.for_fleet(&keys(&[2]), 0), told(2));
        assert_eq!(known.for_fleet(&keys(&[1]), 0), [], "the key was replaced");
    }

    #[test]
    fn each_fleet_has_its_bounded_room_and_those_that_end_first_go_first() {
        let mut known = Known::default();
        known.insert(&keys(&[1]), &[fact(1, 1)], 0);
        let most = MAX_GRANT_FACTS as u64;
        for until in (1000..1000 + most + 5).rev() {
            assert_eq!(known.insert(&keys(&[2]), &[fact(until, 1)], 0).len(), 1, "all are passed on");
        }
        let kept = known.for_fleet(&keys(&[2]), 0);
        assert_eq!((kept.len(), kept[0]), (MAX_GRANT_FACTS, fact(1005, 1)));
        assert_eq!(known.for_fleet(&keys(&[1]), 0), [fact(1, 1)]);
        for fleet in 10..10 + u8::try_from(MAX_FLEETS).unwrap() {
            known.insert(&keys(&[fleet]), &[fact(1, 1)], 0);
        }
        assert_eq!((known.0.len(), known.for_fleet(&keys(&[1]), 0)), (MAX_FLEETS, vec![]));
    }

    #[test]
    fn of_a_grant_only_the_newest_token_is_kept_and_both_of_one_number_are_passed_on() {
        let mut known = KnownGrantFacts::default();
        let rotated = |generation, token| RotationFact {
            until: 2000,
            grant: id(1),
            generation,
            token: [token; 16],
            tag: [token; 16],
        };
        for generation in 1..100 {
            assert_eq!(known.insert(&keys(&[1]), &[rotated(generation, 1)], 0).len(), 1);
        }
        let (one, other) = (rotated(100, 1), rotated(100, 2));
        assert_eq!(known.insert(&keys(&[1]), &[one, rotated(99, 1), one, other], 0), [one, other]);
        assert_eq!(known.for_fleet(&keys(&[1]), 0), [other]);
    }
}
