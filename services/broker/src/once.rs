//! What may be used once, at this process: remembered until it has expired. Must not know what it is.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// Most that is remembered at once. What is used belongs to users who signed in, so that strangers cannot fill it.
const MAX_REMEMBERED: usize = 100_000;

/// The used ones with the end of their validity, in seconds since 1970.
#[derive(Debug)]
pub(crate) struct Once<K>(Mutex<HashMap<K, u64>>);

impl<K> Default for Once<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Once<K> {
    /// Uses `key`, which is of no use to anybody from `expires` on. Returns whether this is the first use. Where too many are remembered,
    /// nothing counts as unused.
    pub(crate) fn take(&self, key: K, expires: u64, now: u64) -> bool {
        let mut used = self.0.lock();
        if used.len() >= MAX_REMEMBERED {
            used.retain(|_, end| *end > now);
            if used.len() >= MAX_REMEMBERED {
                return false;
            }
        }
        used.insert(key, expires).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_is_the_only_one_and_what_is_remembered_is_bounded() {
        let once = Once::default();
        assert!(once.take(1, 10, 0) && !once.take(1, 10, 0) && once.take(2, 10, 0));
        let full = Once::default();
        for key in 0..MAX_REMEMBERED {
            assert!(full.take(key, 10, 0));
        }
        assert!(!full.take(MAX_REMEMBERED, 10, 9), "too many");
        assert!(full.take(MAX_REMEMBERED, 20, 10), "the others have expired");
        assert_eq!(full.0.lock().len(), 1);
    }
}
