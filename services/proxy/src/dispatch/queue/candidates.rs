//! The view that wait queues have of the slaves that calls may go to. Must not know tools and rules.

use std::sync::Arc;
use std::time::Instant;

use crate::links::Slave;

/// The slaves that the calls of one queue may go to at this moment.
pub(in crate::dispatch) trait Candidates: Send + Sync + 'static {
    /// Returns the slaves in order of preference.
    fn slaves(&self) -> impl Iterator<Item = &Arc<Slave>>;

    /// Whether this slave, one of [`Self::slaves`], may get calls: it is not ejected, or no other slave takes calls.
    fn is_eligible(&self, slave: &Slave, now: Instant) -> bool;

    /// Returns until when this slave is ejected.
    fn ejected_until(&self, slave: &Slave, now: Instant) -> Option<Instant>;

    /// Whether both are known to be the same slaves in the same order, without comparing slave by slave.
    fn is_same(&self, other: &Self) -> bool;

    /// Returns how many calls may wait.
    fn max_waiting(&self) -> usize;

    /// Whether any slave takes calls.
    fn is_served(&self) -> bool {
        self.slaves().any(|slave| slave.accepts_calls())
    }

    /// Returns the keys of the slaves that take calls and have capacity.
    fn with_capacity(&self) -> impl Iterator<Item = u64> {
        let free = self.slaves().filter(|slave| slave.accepts_calls() && slave.active.has_capacity());
        free.map(|slave| slave.key)
    }
}
