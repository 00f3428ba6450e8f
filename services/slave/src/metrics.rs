//! Counts what happens in the slave: one function or handle an event. [`table`] declares the series. Must not know why
//! an event happens.

mod backends;
mod calls;
mod files;
mod links;
mod table;

use metrics::gauge;

pub(crate) use backends::{
    Dropped, Exit, Probed, backend_dropped, backend_exited, backend_probed, backend_ready, backend_restarted,
    backend_started,
};
pub(crate) use calls::{ToolMeters, asked, call_refused, ended, served};
pub(crate) use files::ConfigFile;
pub(crate) use links::{
    Held, LinkMeters, dialed, held, link_ended, link_made, link_reconnected, links_up, links_wanted,
    round_trips, tally,
};
pub use table::{METRICS, TABLES};

/// This process goes down.
pub(crate) fn draining() {
    gauge!(table::DRAINING).set(1);
}

/// What the operator allows.
pub(crate) fn limits(capacity: u32, journal: usize) {
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
