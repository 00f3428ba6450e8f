//! Metrics of routing. Knows rules by name only.

use std::sync::{LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ::metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

use super::Names;

/// Calls that a rule was for.
const ROUTED: &str = "mcp_relay_routed_calls_total";
/// Calls that a rule was for, and no slave had the labels it wants.
const UNROUTABLE: &str = "mcp_relay_unroutable_calls_total";
/// When a file was last read with success.
const LAST_LOAD: &str = "mcp_relay_config_last_load_timestamp_seconds";

static RULE_NAMES: LazyLock<Names> = LazyLock::new(|| Names(Mutex::default()));

pub(super) fn describe() {
    describe_counter!(ROUTED, "Calls that a routing rule was for, by rule");
    describe_counter!(
        UNROUTABLE,
        "Calls refused because no slave has the labels that their rule wants, by rule"
    );
    describe_gauge!(
        LAST_LOAD,
        "Unix time at which a file of the configuration was last read with success, by file"
    );
}

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
