//! The slaves that a call may go to: those of its pool by its route, without ejected ones. Must not know calls.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::pool::Pool;
use super::queue::Candidates;
use crate::balance::fault::filter_ejected;
use crate::balance::outliers::OutlierDetector;
use crate::links::{Registry, Slave};
use crate::routes::{Priorities, Route};

/// The slaves of a pool that a route allows.
pub(super) struct PoolCandidates {
    pub(super) registry: Arc<Registry>,
    pub(super) pool: Arc<Pool>,
    pub(super) route: Route<Slave>,
}

impl PoolCandidates {
    fn outliers(&self) -> [&OutlierDetector; 2] {
        detectors(&self.registry, &self.pool)
    }
}

/// Returns the detectors whose ejections count for the pool: that of all slaves and the pool's own.
fn detectors<'a>(registry: &'a Registry, pool: &'a Pool) -> [&'a OutlierDetector; 2] {
    [&registry.outliers, &*pool.outliers]
}

/// Returns the slaves of the route that are eligible now. See [`filter_ejected`].
pub(super) fn eligible<'a>(
    registry: &Registry,
    pool: &Pool,
    route: &'a Route<Slave>,
    avoid: Option<u64>,
    now: Instant,
) -> Cow<'a, Priorities<Slave>> {
    filter_ejected(&route.priorities, avoid, detectors(registry, pool), now)
}

impl Candidates for PoolCandidates {
    fn slaves(&self) -> impl Iterator<Item = &Arc<Slave>> {
        self.route.slaves()
    }

    fn is_eligible(&self, slave: &Slave, now: Instant) -> bool {
        if !self.outliers().iter().any(|outliers| outliers.may_eject()) {
            return true;
        }
        let eligible = eligible(&self.registry, &self.pool, &self.route, None, now);
        eligible.iter().flat_map(|slaves| slaves.iter()).any(|kept| kept.key == slave.key)
    }

    fn ejected_until(&self, slave: &Slave, now: Instant) -> Option<Instant> {
        let ends = self.outliers().map(|outliers| outliers.ejected_until(slave.host_slot(), now));
        ends.into_iter().flatten().max()
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.route.priorities, &other.route.priorities)
    }

    fn max_waiting(&self) -> usize {
        self.pool.balance.queue.most
    }
}
