//! A table of constant size for what is remembered of peers. Must not know what that is.

use std::hash::{BuildHasher, Hash, RandomState};

/// Entries by the hash of a key. Keys that share a slot replace each other: what is remembered of one may be forgotten
/// early, and memory never grows. The hash is keyed at random, so that no peer can choose a slot.
#[derive(Debug)]
pub(super) struct SlotTable<V> {
    slots: Box<[Option<(u64, V)>]>,
    hasher: RandomState,
}

impl<V> SlotTable<V> {
    /// Creates a table of `slots` slots.
    pub(super) fn new(slots: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(slots.max(1)).collect();
        Self { slots, hasher: RandomState::new() }
    }

    /// Returns the entry of a key, which is `new` where nothing is remembered.
    pub(super) fn entry(&mut self, key: impl Hash, new: impl FnOnce() -> V) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let length = u64::try_from(self.slots.len()).ok()?;
        let slot = self.slots.get_mut(usize::try_from(hash % length).ok()?)?;
        if slot.as_ref().is_none_or(|(known, _)| *known != hash) {
            *slot = Some((hash, new()));
        }
        slot.as_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_last_until_another_key_takes_their_slot() {
        let mut table = SlotTable::new(4096);
        *table.entry("a", || 0).unwrap() += 5;
        assert_eq!(table.entry("a", || 0), Some(&mut 5));
        let mut one = SlotTable::new(1);
        *one.entry("a", || 0).unwrap() += 5;
        assert_eq!(one.entry("b", || 0), Some(&mut 0));
        assert_eq!(one.entry("a", || 0), Some(&mut 0));
    }
}
