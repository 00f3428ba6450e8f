//! The count of facts that a slave passed on and no proxy of the fleet made: whether more of its facts are worth a check. Must not know
//! what facts say.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most false facts of a slave that are checked within [`WINDOW`]; beyond it none of its facts is (docs/PROTOCOL.md, "Several proxies").
const MAX_FALSE_FACTS: u32 = 64;

/// Time over which false facts are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Count of a slave's false facts.
#[derive(Debug, Default)]
pub(super) struct FalseFacts {
    /// Begin of the window, and the false facts since.
    window: Mutex<Option<(Instant, u32)>>,
}

impl FalseFacts {
    /// Counts one.
    pub(super) fn record(&self, now: Instant) {
        let mut window = self.window.lock();
        let (begin, before) = window.filter(|(begin, _)| is_within(*begin, now)).unwrap_or((now, 0));
        *window = Some((begin, before + 1));
    }

    /// Returns whether there were too many within the window.
    pub(super) fn is_distrusted(&self, now: Instant) -> bool {
        self.window.lock().is_some_and(|(begin, count)| is_within(begin, now) && count >= MAX_FALSE_FACTS)
    }
}

fn is_within(begin: Instant, now: Instant) -> bool {
    now.saturating_duration_since(begin) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_false_facts_within_the_window_end_the_trust_until_it_is_over() {
        let (facts, start) = (FalseFacts::default(), Instant::now());
        for _ in 0..MAX_FALSE_FACTS {
            assert!(!facts.is_distrusted(start));
            facts.record(start);
        }
        let (late, over) = (start + WINDOW.mul_f32(0.99), start + WINDOW);
        assert!(facts.is_distrusted(start) && facts.is_distrusted(late) && !facts.is_distrusted(over));
        facts.record(over);
        assert!(!facts.is_distrusted(over), "a new window");
    }
}
