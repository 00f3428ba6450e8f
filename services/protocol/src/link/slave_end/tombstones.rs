//! Calls that were started and given up because nobody came back for them. Knows only their names.
//!
//! A proxy that was paused for long may still ask for one of them: it must not hear that the call never ran.

use std::collections::HashSet;

use crate::link::ids::CallId;

/// How many are remembered, about 2 MiB. Beyond that any unknown call may have been one.
const MOST: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Tombstones {
    calls: HashSet<CallId>,
    overrun: bool,
}

impl Tombstones {
    pub(super) fn add(&mut self, call: CallId) {
        if self.calls.len() < MOST {
            self.calls.insert(call);
        } else {
            self.overrun = true;
        }
    }

    /// Whether the call may have run; never a wrong no.
    pub(super) fn may_contain(&self, call: CallId) -> bool {
        self.overrun || self.calls.contains(&call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_no_call_but_may_claim_too_many() {
        let mut forgotten = Tombstones::default();
        let most = MOST as u128;
        (1..=most).for_each(|n| forgotten.add(CallId(n)));
        assert!(forgotten.may_contain(CallId(most)));
        assert!(!forgotten.may_contain(CallId(most + 1)));
        forgotten.add(CallId(most + 1));
        assert!(forgotten.may_contain(CallId(most + 1)));
    }
}
