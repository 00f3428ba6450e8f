//! Metrics of routing. Knows rules by name only.

use std::time::{SystemTime, UNIX_EPOCH};

use ::metrics::{Counter, counter, gauge};
use runtime::metrics::Names;

use super::table::{LAST_LOAD, ROUTED, UNROUTABLE};

static RULE_NAMES: Names = Names::new();

/// Handles of one rule.
pub(crate) struct RouteMeter {
    routed: Counter,
    unroutable: Counter,
}

impl RouteMeter {
    pub(crate) fn new(rule: &str) -> Self {
        let rule = RULE_NAMES.bounded(rule);
        Self {
            routed: counter!(ROUTED, "rule" => rule.clone()),
            unroutable: counter!(UNROUTABLE, "rule" => rule),
        }
    }

    /// The rule was for a call, and has so many tiers of slaves for it.
    pub(crate) fn routed(&self, tiers: usize) {
        self.routed.increment(1);
        if tiers == 0 {
            self.unroutable.increment(1);
        }
    }
}

/// A file of the configuration was read with success, now.
pub(crate) fn config_loaded(file: &'static str) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(LAST_LOAD, "file" => file).set(time.as_secs_f64());
}
