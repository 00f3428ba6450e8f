//! Facts about grants of the proxies' OAuth broker: what all kinds of them have in common, and a bounded table of the newest of each grant
//! (docs/PROTOCOL.md, "Several proxies"). Must not know what facts say, nor how they are authenticated.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::link::base64url;

/// Most facts of one kind and fleet that are remembered for a peer that comes back; those that end first are forgotten first.
pub const MAX_GRANT_FACTS: usize = 4096;

/// Most facts in one frame, which must fit one chunk.
pub const MAX_TOLD_GRANT_FACTS: usize = 512;

/// Id of a grant: all codes and tokens of the grant have it, and none follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(pub [u8; 16]);

impl GrantId {
    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        base64url::decode(text).map(Self)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// A fact about a grant, as a proxy says it.
pub trait GrantFact: Copy + PartialEq {
    /// Returns the grant.
    fn grant(&self) -> GrantId;

    /// Returns when the grant would have ended, in seconds since 1970: from then on the fact is of no use.
    fn until(&self) -> u64;

    /// Returns whether the fact is news to who has `known`, another fact about the grant. What is made anew under another session key
    /// is news.
    fn is_news_after(&self, known: &Self) -> bool;
}

/// The newest fact of each grant, at most [`MAX_GRANT_FACTS`].
#[derive(Debug)]
pub struct GrantFacts<F> {
    facts: HashMap<GrantId, F>,
    ends: BTreeSet<(u64, GrantId)>,
}

impl<F> Default for GrantFacts<F> {
    fn default() -> Self {
        Self { facts: HashMap::new(), ends: BTreeSet::new() }
    }
}

impl<F: GrantFact> GrantFacts<F> {
    /// Takes a fact in place of an older one about its grant. Returns whether it was news.
    pub fn insert(&mut self, fact: F) -> bool {
        let grant = fact.grant();
        if let Some(known) = self.facts.get(&grant) {
            if !fact.is_news_after(known) {
                return false;
            }
            self.ends.remove(&(known.until(), grant));
        }
        self.facts.insert(grant, fact);
        self.ends.insert((fact.until(), grant));
        if self.facts.len() > MAX_GRANT_FACTS
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.facts.remove(&first);
        }
        true
    }

    /// Forgets what has ended at `now`, in seconds since 1970.
    pub fn expire(&mut self, now: u64) {
        while let Some((until, grant)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.pop_first();
            self.facts.remove(&grant);
        }
    }

    /// Returns the facts, those that end first first.
    pub fn iter(&self) -> impl Iterator<Item = F> {
        self.ends.iter().filter_map(|(_, grant)| self.facts.get(grant)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Fact(u64, u8, u8);

    impl GrantFact for Fact {
        fn grant(&self) -> GrantId {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.0.to_be_bytes());
            GrantId(id)
        }

        fn until(&self) -> u64 {
            self.0 + u64::from(self.2)
        }

        fn is_news_after(&self, known: &Self) -> bool {
            self.1 > known.1
        }
    }

    fn all(facts: &GrantFacts<Fact>) -> Vec<Fact> {
        facts.iter().collect()
    }

    #[test]
    fn a_grant_has_one_fact_the_newest_until_it_ends() {
        let mut facts = GrantFacts::default();
        assert!(facts.insert(Fact(7, 1, 0)) && facts.insert(Fact(5, 1, 0)));
        assert!(!facts.insert(Fact(7, 1, 0)) && !facts.insert(Fact(7, 0, 0)));
        assert_eq!(all(&facts), [Fact(5, 1, 0), Fact(7, 1, 0)]);
        assert!(facts.insert(Fact(5, 2, 9)));
        assert_eq!(all(&facts), [Fact(7, 1, 0), Fact(5, 2, 9)], "its end moved with it");
        facts.expire(7);
        assert_eq!((all(&facts), facts.facts.len()), (vec![Fact(5, 2, 9)], 1));
        facts.expire(14);
        assert!(facts.facts.is_empty() && facts.ends.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_ends_first_goes_first() {
        let mut facts = GrantFacts::default();
        let most = MAX_GRANT_FACTS as u64;
        for until in (0..most + 5).rev() {
            assert!(facts.insert(Fact(until, 1, 0)) && facts.facts.len() <= MAX_GRANT_FACTS);
        }
        for _ in 0..3 {
            assert!(facts.insert(Fact(1, 1, 0)), "news to whoever has forgotten it");
        }
        assert_eq!((facts.facts.len(), facts.ends.len()), (MAX_GRANT_FACTS, MAX_GRANT_FACTS));
        assert_eq!(all(&facts)[0], Fact(5, 1, 0));
    }
}
