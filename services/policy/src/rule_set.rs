//! Sets of rules as bits. Must not know rules.

use std::fmt;

/// Bits of one word.
const BITS: usize = u64::BITS as usize;

/// A set of rules by their numbers. Sets of one policy have one length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSet(Box<[u64]>);

impl RuleSet {
    /// Returns the set of those of `count` rules for which `has` holds.
    pub(crate) fn of(count: usize, has: impl Fn(usize) -> bool) -> Self {
        let word = |word: usize| {
            let numbers = word * BITS..((word + 1) * BITS).min(count);
            numbers.filter(|number| has(*number)).fold(0, |bits, number| bits | 1 << (number % BITS))
        };
        Self((0..count.div_ceil(BITS)).map(word).collect())
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        self.0.get(number / BITS).is_some_and(|word| word >> (number % BITS) & 1 == 1)
    }

    /// Returns the numbers of the rules of all three sets, in the order of the file. Makes no set.
    pub(crate) fn common(sets: [&Self; 3]) -> impl Iterator<Item = usize> + '_ {
        let [one, two, three] = sets;
        let words = one.0.iter().zip(&two.0).zip(&three.0).enumerate();
        words.flat_map(|(at, ((one, two), three))| {
            let mut bits = one & two & three;
            std::iter::from_fn(move || {
                let first = usize::try_from(bits.trailing_zeros()).ok().filter(|first| *first < BITS)?;
                bits &= bits - 1;
                Some(at * BITS + first)
            })
        })
    }

    /// Returns whether a rule is in all three sets.
    pub(crate) fn meet(one: &Self, two: &Self, three: &Self) -> bool {
        one.0.iter().zip(&two.0).zip(&three.0).any(|((one, two), three)| one & two & three != 0)
    }
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..self.0.len() * BITS).filter(|number| self.has(*number))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_sets(
            one in proptest::collection::btree_set(0_usize..200, 0..40),
            two in proptest::collection::btree_set(0_usize..200, 0..40),
            three in proptest::collection::btree_set(0_usize..200, 0..40),
        ) {
            let bits = |set: &BTreeSet<usize>| RuleSet::of(200, |number| set.contains(&number));
            let (a, b, c) = (bits(&one), bits(&two), bits(&three));
            let common: Vec<usize> = one.iter().filter(|n| two.contains(n) && three.contains(n)).copied().collect();
            prop_assert_eq!(RuleSet::common([&a, &b, &c]).collect::<Vec<_>>(), common.clone());
            prop_assert_eq!(RuleSet::meet(&a, &b, &c), !common.is_empty());
            prop_assert!((0..200).all(|number| a.has(number) == one.contains(&number)));
        }
    }
}
