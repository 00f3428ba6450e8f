//! Facts about revoked grants that proxies told, kept for proxies that come back. Must not know links, nor how facts are authenticated.
//!
//! docs/PROTOCOL.md, "Several proxies".

use std::collections::BTreeSet;

use protocol::link::fleet::FleetKeys;
use protocol::link::revocation::{MAX_REVOCATIONS, RevocationFact};

/// Most fleets whose facts are kept; the one that was heard of first is forgotten first.
const MAX_FLEETS: usize = 8;

/// Seconds for which a fact is kept beyond its end: the clock of a proxy may be behind this one's.
const CLOCK_MARGIN: u64 = 600;

struct OfFleet {
    keys: FleetKeys,
    facts: BTreeSet<RevocationFact>,
}

/// Facts about revoked grants by the fleets that told them: no fleet takes the room of another.
#[derive(Default)]
pub(super) struct KnownRevocations(Vec<OfFleet>);

impl KnownRevocations {
    /// Takes facts that a proxy of this fleet told. Returns those that are new.
    pub(super) fn insert(
        &mut self,
        keys: &FleetKeys,
        facts: &[RevocationFact],
        now: u64,
    ) -> Vec<RevocationFact> {
        let known = self.of_fleet(keys);
        let is_new =
            |fact: &&RevocationFact| fact.until.saturating_add(CLOCK_MARGIN) > now && !known.contains(*fact);
        let new: Vec<RevocationFact> = facts.iter().filter(is_new).copied().collect();
        known.extend(&new);
        while known.len() > MAX_REVOCATIONS {
            known.pop_first();
        }
        new
    }

    /// Returns the facts that a proxy of this fleet is to be told when its link comes up. Its keys are the fleet's from then on.
    pub(super) fn for_fleet(&mut self, keys: &FleetKeys, now: u64) -> Vec<RevocationFact> {
        let Some(fleet) = self.0.iter_mut().find(|fleet| fleet.keys.shares_a_key(keys)) else {
            return Vec::new();
        };
        fleet.keys = *keys;
        fleet.facts.retain(|fact| fact.until.saturating_add(CLOCK_MARGIN) > now);
        fleet.facts.iter().copied().collect()
    }

    fn of_fleet(&mut self, keys: &FleetKeys) -> &mut BTreeSet<RevocationFact> {
        let known = self.0.iter().position(|fleet| fleet.keys.shares_a_key(keys));
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= MAX_FLEETS {
                self.0.remove(0);
            }
            self.0.push(OfFleet { keys: *keys, facts: BTreeSet::new() });
            self.0.len() - 1
        });
        &mut self.0[at].facts
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::fleet::FleetKey;
    use protocol::link::revocation::GrantId;

    use super::*;

    fn keys(keys: &[u8]) -> FleetKeys {
        FleetKeys::new(keys.iter().map(|key| FleetKey([*key; 32])))
    }

    fn fact(until: u64, tag: u8) -> RevocationFact {
        let mut grant = [0; 16];
        grant[..8].copy_from_slice(&until.to_be_bytes());
        RevocationFact { until, grant: GrantId(grant), tag: [tag; 16] }
    }

    #[test]
    fn facts_are_new_once_and_told_to_their_fleet_alone_until_they_end() {
        let mut known = KnownRevocations::default();
        let told = [fact(2000, 1), fact(3000, 1)];
        assert_eq!(known.insert(&keys(&[1]), &told, 0), told);
        assert_eq!(known.insert(&keys(&[1]), &[fact(3000, 1), fact(4000, 1)], 0), [fact(4000, 1)]);
        // One session key replaces another: the same fact under the other is another.
        assert_eq!(known.insert(&keys(&[2, 1]), &[fact(3000, 2)], 0), [fact(3000, 2)]);
        assert_eq!(known.for_fleet(&keys(&[7]), 0), []);
        let all = [fact(2000, 1), fact(3000, 1), fact(3000, 2), fact(4000, 1)];
        assert_eq!(known.for_fleet(&keys(&[2, 1]), 0), all);
        assert_eq!(
            known.for_fleet(&keys(&[2]), 2000 + CLOCK_MARGIN),
            all[1..],
            "one has ended, by any clock"
        );
        assert_eq!(known.for_fleet(&keys(&[1]), 0), [], "the key was replaced");
        assert_eq!(known.insert(&keys(&[2]), &[fact(5000, 1)], 5000 + CLOCK_MARGIN), [], "ended");
    }

    #[test]
    fn each_fleet_has_its_bounded_room_and_those_that_end_first_go_first() {
        let mut known = KnownRevocations::default();
        known.insert(&keys(&[1]), &[fact(1, 1)], 0);
        let most = MAX_REVOCATIONS as u64;
        for until in (1000..1000 + most + 5).rev() {
            assert_eq!(known.insert(&keys(&[2]), &[fact(until, 1)], 0).len(), 1, "all are passed on");
        }
        let kept = known.for_fleet(&keys(&[2]), 0);
        assert_eq!((kept.len(), kept[0]), (MAX_REVOCATIONS, fact(1005, 1)));
        assert_eq!(known.for_fleet(&keys(&[1]), 0), [fact(1, 1)]);
        for fleet in 10..10 + u8::try_from(MAX_FLEETS).unwrap() {
            known.insert(&keys(&[fleet]), &[fact(1, 1)], 0);
        }
        assert_eq!((known.0.len(), known.for_fleet(&keys(&[1]), 0)), (MAX_FLEETS, vec![]));
    }
}
