//! Calls that wait for slaves that are awaited: how many of each tool, and for how long. Must not know links.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use protocol::mcp::failure::Failure;

use super::forwarder::{Forwarder, may_still_come};
use super::pool::Pool;
use crate::links::Slave;
use crate::routes::Route;

/// Number of calls that wait for awaited slaves, by the clients' name of the tool.
#[derive(Clone, Default)]
pub(super) struct AwaitingCalls(Arc<Mutex<HashMap<String, usize>>>);

/// The place of one call among those that wait; it is free again when this is dropped.
pub(super) struct AwaitingPlace {
    calls: AwaitingCalls,
    tool: String,
}

impl AwaitingCalls {
    /// Takes a place, unless `most` calls of the tool wait already.
    fn enter(&self, tool: &str, most: usize) -> Option<AwaitingPlace> {
        let mut calls = self.0.lock();
        let waiting = calls.get(tool).copied().unwrap_or_default();
        if waiting >= most {
            return None;
        }
        calls.insert(tool.to_owned(), waiting + 1);
        Some(AwaitingPlace { calls: self.clone(), tool: tool.to_owned() })
    }
}

impl Drop for AwaitingPlace {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock();
        if let Some(waiting) = calls.get_mut(&self.tool) {
            *waiting -= 1;
            if *waiting == 0 {
                calls.remove(&self.tool);
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_calls_of_each_tool_wait_as_may() {
        let calls = AwaitingCalls::default();
        assert!(calls.enter("a", 0).is_none());
        let places = [calls.enter("a", 2), calls.enter("a", 2), calls.enter("b", 2)];
        assert!(places.iter().all(Option::is_some));
        assert!(calls.enter("a", 2).is_none());
        drop(places);
        assert!(calls.enter("a", 1).is_some(), "their places are free again");
        assert!(calls.0.lock().is_empty(), "and nothing is kept of them");
    }
}
