//! The wait of a call for a slave that may come: in the start window, or because it is awaited. Must not know links.

use std::time::Instant;

use protocol::mcp::failure::Failure;

use super::awaiting::AwaitingPlace;
use super::forwarder::{Forwarder, may_still_come};
use super::pool::Pool;
use crate::links::Slave;
use crate::routes::Route;

/// A wait for a slave that may come.
pub(super) struct SlaveWait {
    pub(super) until: Instant,
    /// `None`: all calls wait, since the proxy has just started.
    pub(super) place: Option<AwaitingPlace>,
}

impl Forwarder {
    /// Returns the wait of a call that no slave of its route can take now: for the end of the start window, or for slaves of the route that
    /// are awaited, within `QUEUE_MAX`. `None`: it fails at once.
    pub(super) fn wait_for_slave(
        &self,
        failure: &Failure,
        tool: &str,
        pool: &Pool,
        route: &Route<Slave>,
        now: Instant,
    ) -> Option<SlaveWait> {
        if let Some(until) = self.start.end(now).filter(|_| may_still_come(failure)) {
            return Some(SlaveWait { until, place: None });
        }
        if matches!(failure, Failure::Busy { .. }) {
            return None;
        }
        let until = route.slaves().filter_map(|slave| slave.awaited_until(now)).max()?;
        let place = self.awaiting.enter(tool, pool.balance.queue.most)?;
        Some(SlaveWait { until, place: Some(place) })
    }
}
