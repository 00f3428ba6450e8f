//! Metrics of routing. Knows rules by name only.

use ::metrics::{Counter, counter};

use super::names::RULES;
use super::table::{ROUTED, UNROUTABLE};

/// Handles of one rule, each looked up once.
pub(crate) struct RouteMeter {
    routed: Counter,
    unroutable: Counter,
}

impl RouteMeter {
    pub(crate) fn new(rule: &str) -> Self {
        let rule = RULES.bounded(rule);
        Self {
            routed: counter!(ROUTED, "rule" => rule.clone()),
            unroutable: counter!(UNROUTABLE, "rule" => rule),
        }
    }

    /// Counts a call that the rule matched. `priorities`: how many sets of slaves the rule has for it.
    pub(crate) fn record(&self, priorities: usize) {
        self.routed.increment(1);
        if priorities == 0 {
            self.unroutable.increment(1);
        }
    }
}
