//! The cancellations of the last minutes, for calls that no slave has at that moment. Must not know calls.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::pending::CallName;

/// Cancellations that are kept; older ones are dropped first.
const MAX_CANCELLATIONS: usize = 4096;

/// How long a cancellation is kept: longer than any call is without a slave.
const CANCELLATION_TTL: Duration = Duration::from_mins(10);

/// Recent cancellations, as keyed hashes of the calls' names with their times.
#[derive(Default)]
pub(super) struct Cancellations {
    hasher: RandomState,
    recent: Mutex<VecDeque<(u64, Instant)>>,
}

impl Cancellations {
    /// Records that the client cancelled the call of this name.
    pub(super) fn record(&self, name: &CallName, now: Instant) {
        let hash = self.hasher.hash_one(name);
        let mut recent = self.recent.lock();
        let is_old = |at: Instant| now.saturating_duration_since(at) > CANCELLATION_TTL;
        while recent.len() >= MAX_CANCELLATIONS || recent.front().is_some_and(|(_, at)| is_old(*at)) {
            recent.pop_front();
        }
        recent.push_back((hash, now));
    }

    /// Whether the call of this name was cancelled since then.
    pub(super) fn contains(&self, name: &CallName, since: Instant) -> bool {
        let recent = self.recent.lock();
        let mut later = recent.iter().rev().take_while(|(_, at)| *at >= since).peekable();
        if later.peek().is_none() {
            return false;
        }
        let hash = self.hasher.hash_one(name);
        later.any(|(known, _)| *known == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(session: &str, request_id: &str) -> CallName {
        CallName { session: session.into(), request_id: request_id.into() }
    }

    #[test]
    fn a_cancellation_applies_to_earlier_calls_and_expires() {
        let (cancellations, start) = (Cancellations::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let call = name("s", "1");
        cancellations.record(&call, at(5));
        assert!(cancellations.contains(&call, at(4)) && cancellations.contains(&call, at(5)));
        assert!(!cancellations.contains(&call, at(6)), "a later call of the same name");
        assert!(!cancellations.contains(&name("s", "2"), at(0)));
        assert!(!cancellations.contains(&name("t", "1"), at(0)));
        (0..MAX_CANCELLATIONS).for_each(|n| cancellations.record(&name("s", &format!("x{n}")), at(7)));
        assert!(!cancellations.contains(&call, at(0)));
        cancellations.record(&name("s", "2"), at(8) + CANCELLATION_TTL);
        assert_eq!(cancellations.recent.lock().len(), 1);
    }
}
