//! How the calls of one pool are shared out: weights, stickiness, queue. Worked out when the directory is built.

use std::sync::Arc;

use super::choose::Weights;
use crate::config::QueueLimits;
use crate::links::Slave;
use crate::routes::Routes;

/// What counts for one pool.
pub(super) struct Balance {
    pub(super) weights: Weights,
    /// Whether each client's calls go to the same slave.
    pub(super) sticky: bool,
    pub(super) queue: QueueLimits,
}

impl Balance {
    /// By the first rule for the tool; `names` are the tool's, as clients and as slaves call it.
    pub(super) fn new(
        (routes, queue): (&Routes, QueueLimits),
        names: [&str; 2],
        members: &[Arc<Slave>],
    ) -> Self {
        let rule = routes.pools.iter().find(|rule| rule.applies_to(names));
        let given = |slave: &Slave| rule.and_then(|rule| rule.weight(&slave.grant().labels));
        let weight = |slave: &Arc<Slave>| (slave.key, given(slave).unwrap_or(slave.weight));
        Self {
            weights: Weights::new(members.iter().map(weight)),
            sticky: rule.is_some_and(|rule| rule.sticky),
            queue: QueueLimits {
                most: rule.and_then(|rule| rule.queue_max).unwrap_or(queue.most),
                longest: rule.and_then(|rule| rule.queue_timeout).unwrap_or(queue.longest),
            },
        }
    }
}
