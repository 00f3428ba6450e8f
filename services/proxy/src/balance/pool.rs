//! Balancing options of one pool: weights, stickiness, queue. Worked out when the directory is built. Must not know links.

use std::sync::Arc;

use super::host::Host;
use super::pick::Weights;
use crate::config::QueueLimits;
use crate::routes::{Labelled, Routes};

/// How the calls of one pool are balanced.
pub(crate) struct PoolBalance {
    pub(crate) weights: Weights,
    /// Whether each client's calls go to the same slave.
    pub(crate) sticky: bool,
    pub(crate) queue: QueueLimits,
}

impl PoolBalance {
    /// Takes the first entry of the routes for the tool, and for what it leaves open `queue` and the members' own weights.
    /// `names` are the clients' and the slaves' name of the tool.
    pub(crate) fn new<H: Host + Labelled>(
        routes: &Routes,
        queue: QueueLimits,
        names: [&str; 2],
        members: &[Arc<H>],
    ) -> Self {
        let rule = routes.pools.iter().find(|rule| rule.applies_to(names));
        let configured = |slave: &H| rule.and_then(|rule| slave.with_labels(|labels| rule.weight(labels)));
        let weight = |slave: &Arc<H>| (slave.key(), configured(slave).unwrap_or(slave.weight()));
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
