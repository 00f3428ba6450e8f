//! Ids of calls that were started and given up because nobody came back for them.
//!
//! A proxy that was paused for long may still ask for one of them, and must not be told that the call never ran.

use std::collections::HashSet;

use crate::link::ids::CallId;

/// Largest number of ids remembered, about 2 MiB. Beyond that any unknown call may have been one of them.
pub const MAX_TOMBSTONES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Tombstones {
    calls: HashSet<CallId>,
    overrun: bool,
}

impl Tombstones {
    pub(super) fn insert(&mut self, call: CallId) {
        if self.calls.len() < MAX_TOMBSTONES {
            self.calls.insert(call);
        } else {
            self.overrun = true;
        }
    }

    /// Returns whether the call may have run; never `false` for one that did.
    pub(super) fn may_contain(&self, call: CallId) -> bool {
        self.overrun || self.calls.contains(&call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_missed_and_memory_is_bounded() {
        let mut tombstones = Tombstones::default();
        let most = MAX_TOMBSTONES as u128;
        (1..=most).for_each(|n| tombstones.insert(CallId(n)));
        assert!(tombstones.may_contain(CallId(most)));
        assert!(!tombstones.may_contain(CallId(most + 1)));
        tombstones.insert(CallId(most + 1));
        assert!(tombstones.may_contain(CallId(most + 1)));
        assert!(tombstones.may_contain(CallId(most + 2)), "a wrong yes, since it cannot be known");
        assert_eq!(tombstones.calls.len(), MAX_TOMBSTONES);
    }
}
