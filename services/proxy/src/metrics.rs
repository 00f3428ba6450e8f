//! Metrics of the proxy: one function or handle for each event. [`table`] declares the series. Must not know HTTP or
//! links.
//!
//! Labels are bounded: tools, slaves, codes and rules beyond the bound of [`runtime::metrics::BoundedValues`] are
//! counted under `other`. Names of tools and slaves are bounded for each code, so that one cannot use up the others'.

mod balance;
mod calls;
mod configuration;
mod links;
mod names;
mod refusal;
mod routes;
mod table;
mod under_way;

use runtime::metrics::Metric;

pub(crate) use balance::{QueueGauge, record_queue_wait, record_refusal, record_sticky_miss};
pub(crate) use calls::{
    CallMeter, ToolCounts, calls_of_tools, record_denial, record_move, record_retry, record_unknown,
    set_tools,
};
pub(crate) use configuration::{
    record_config_load, record_config_reload, set_certificate_expiry, set_code_expiry, set_code_links,
    set_tools_left_out,
};
pub(crate) use links::{
    LinkMeter, LinkUsage, TrafficMeter, admit_slave, record_auth_failure, record_bad_answer,
    record_catalog_refusal, record_catalog_wait, record_connect, record_disconnect, record_ejection,
    record_link_stats, record_reconnect, record_rejected_fact, record_slave_drain, record_timeouts,
    record_unknown_call, round_trip_gauge, sample, set_catalog_bytes, set_draining, set_ejected_members,
    set_peers, set_slave_states,
};
pub(crate) use refusal::RefusalReason;
pub(crate) use routes::RouteMeter;
pub use table::{CALLS, CONFIGURATION, LINKS};

/// The tables of all metrics of a proxy process.
pub const TABLES: &[&[Metric]] = &[
    CALLS,
    LINKS,
    CONFIGURATION,
    broker::METRICS,
    front::metrics::METRICS,
    runtime::audit::METRICS,
    runtime::traces::METRICS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_well_formed() {
        assert_eq!(runtime::metrics::faults(TABLES), Vec::<String>::new());
    }
}
