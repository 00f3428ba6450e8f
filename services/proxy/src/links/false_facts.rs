//! Facts that a slave passed on and no proxy of the fleet made: whether more of its facts are worth a check. Must not know what facts say.

use std::time::Instant;

use super::slave::Slave;
use crate::metrics;

/// Most false facts of a slave that are checked within a minute; beyond it none of its facts is (docs/PROTOCOL.md, "Several proxies").
pub(super) const MAX_FALSE_FACTS: u32 = 64;

impl Slave {
    /// Returns whether the slave passed on so many false facts that none of its facts is checked for now.
    pub(super) fn is_distrusted(&self, now: Instant) -> bool {
        self.false_facts.count(now) >= MAX_FALSE_FACTS
    }

    /// Counts a false fact. `kind` is what it is about.
    pub(super) fn record_false_fact(&self, kind: &'static str, now: Instant) {
        self.false_facts.record(now);
        metrics::record_rejected_fact(kind);
        tracing::debug!(slave = self.name, kind, "A fact that no proxy of the fleet made is ignored");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::link::limits::LinkLimits;

    use super::super::event_window::WINDOW;
    use super::*;

    #[test]
    fn many_false_facts_within_the_window_end_the_trust_until_it_is_over() {
        let (slave, start) =
            (Arc::new(Slave::plain(1, "s".into(), 0, LinkLimits::default().grace)), Instant::now());
        for _ in 0..MAX_FALSE_FACTS {
            assert!(!slave.is_distrusted(start));
            slave.record_false_fact("session", start);
        }
        let (late, over) = (start + WINDOW.mul_f32(0.99), start + WINDOW);
        assert!(slave.is_distrusted(start) && slave.is_distrusted(late) && !slave.is_distrusted(over));
    }
}
