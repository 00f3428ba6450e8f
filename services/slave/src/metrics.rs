//! Metrics of the slave: one function or handle for each event. [`table`] declares the series. Must not know why an
//! event happens.

mod backends;
mod calls;
mod children;
mod files;
mod links;
mod parked;
mod table;

use metrics::gauge;

pub(crate) use backends::{
    DropReason, Exit, ProbeOutcome, record_backend_drop, record_backend_exit, record_backend_probe,
    record_backend_restart, record_backend_start, record_odd_line, set_backend_ready,
};
pub(crate) use calls::{
    ToolMeter, calls_of_tools, record_backend_request, record_denial, record_refusal, record_served,
};
pub(crate) use children::{ChildEnd, add_children, record_child_end};
pub(crate) use files::{ConfigFile, set_refused};
pub(crate) use links::{
    LinkMeter, LinkUsage, record_dial, record_link_end, record_link_start, record_link_stats,
    record_reconnect, round_trips, set_link_usage, set_links, set_links_wanted,
};
pub(crate) use parked::{ParkedEnd, record_parked_end, set_parked};
pub(crate) use table::ODD_LINES;
pub use table::{METRICS, TABLES};

/// Says that this process shuts down.
pub(crate) fn set_draining() {
    gauge!(table::DRAINING).set(1);
}

/// Sets what is kept of calls for clients that may come back, in bytes and calls.
pub(crate) fn set_retained(bytes: usize, calls: usize) {
    gauge!(table::RETAINED).set(bytes as f64);
    gauge!(table::RETAINED_CALLS).set(calls as f64);
}

/// Sets the number of subscriptions of legacy sessions.
pub(crate) fn set_subscriptions(count: usize) {
    gauge!(table::SUBSCRIPTIONS).set(count as f64);
}

/// Sets the limits that the operator has configured. `journal` is in bytes.
pub(crate) fn set_limits(capacity: u32, journal: usize) {
    gauge!(table::CAPACITY).set(capacity);
    gauge!(table::JOURNAL_LIMIT).set(journal as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_declared_once_with_all_that_exporters_need() {
        assert_eq!(runtime::metrics::faults(TABLES), Vec::<String>::new());
        for metric in METRICS {
            assert!(metric.name.starts_with("mcp_relay_slave_") || metric.name.starts_with("mcp_client_"));
        }
    }
}
