//! Counts what happens in the proxy: one function or handle an event. [`table`] declares the series. Knows nothing of
//! HTTP or links.
//!
//! Labels are bounded: tools, slaves, codes and rules beyond [`Names`]'s bound are counted under `other`.

mod balance;
mod calls;
mod links;
mod routes;
mod table;

use ::metrics::{counter, gauge};
use runtime::metrics::Names;

pub(crate) use balance::{QueueGauge, Refusal, refused, sticky_miss, waited};
pub(crate) use calls::{CallMeter, moved, not_offered, repeated, timeouts, tools};
pub(crate) use links::{
    Held, LinkMeter, Traffic, auth_failed, draining, ejected_members, ejection, link_connected,
    link_disconnected, link_drains, link_reconnected, peers, round_trips, sample, slave_states, stray, tally,
};
pub(crate) use routes::{RouteMeter, config_loaded};
pub use table::{CALLS, CONFIGURATION, LINKS, TABLES};

static TOOL_NAMES: Names = Names::new();
static CODE_NAMES: Names = Names::new();
static SLAVE_NAMES: Names = Names::new();

/// So many seconds are left of the certificate in use.
pub(crate) fn certificate_expires(seconds: f64) {
    gauge!(table::CERTIFICATE_EXPIRES).set(seconds);
}

/// So many seconds are left until a code of this identity ends.
pub(crate) fn code_expires(identity: &str, seconds: f64) {
    gauge!(table::CODE_EXPIRES, "code" => CODE_NAMES.bounded(identity)).set(seconds);
}

/// So many links of this identity are up.
pub(crate) fn identity_links(identity: &str, links: u32) {
    gauge!(table::CODE_LINKS, "code" => CODE_NAMES.bounded(identity)).set(f64::from(links));
}

/// So many tools of this slave are not offered because of its code.
pub(crate) fn tools_left_out(slave: &str, tools: usize) {
    gauge!(table::TOOLS_LEFT_OUT, "slave" => SLAVE_NAMES.bounded(slave)).set(tools as f64);
}

/// A file of the configuration was read again: `ok`, or `failed` and what was before stays.
pub(crate) fn config_reloaded(file: &'static str, outcome: &'static str) {
    counter!(table::CONFIG_RELOADS, "file" => file, "outcome" => outcome).increment(1);
    if outcome == "ok" {
        config_loaded(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_well_formed() {
        assert_eq!(runtime::metrics::faults(TABLES), Vec::<String>::new());
    }
}
