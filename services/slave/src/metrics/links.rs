//! Metrics of links and of what they carry. Knows no proxy.

use metrics::{Counter, Histogram, counter, gauge, histogram};
use protocol::link::stats::LinkStats;

use super::table::{
    DIALS, JOURNAL, KEPT, LINK_BYTES, LINK_CONNECTS, LINK_DISCONNECTS, LINK_RECONNECTS, LINKS, LINKS_WANTED,
    RESUMED, ROUND_TRIP, STALLS,
};

/// Counts a link that was authenticated.
pub(crate) fn record_link_start(dialect: &'static str) {
    counter!(LINK_CONNECTS, "dialect" => dialect).increment(1);
}

/// Counts a link that ended, or a failed attempt to make one.
pub(crate) fn record_link_end(reason: &'static str) {
    counter!(LINK_DISCONNECTS, "reason" => reason).increment(1);
}

/// Counts a link that came back. `reason`: why the link before had ended.
pub(crate) fn record_reconnect(reason: &'static str) {
    counter!(LINK_RECONNECTS, "reason" => reason).increment(1);
}

/// Sets the number of links that are up.
pub(crate) fn set_links(links: usize) {
    gauge!(LINKS).set(links as f64);
}

/// Sets the number of links that there should be.
pub(crate) fn set_links_wanted(links: usize) {
    gauge!(LINKS_WANTED).set(links as f64);
}

/// Counts an attempt to link to a proxy.
pub(crate) fn record_dial(outcome: &'static str) {
    counter!(DIALS, "outcome" => outcome).increment(1);
}

/// Returns the histogram of round trip times of links, in seconds.
pub(crate) fn round_trips() -> Histogram {
    histogram!(ROUND_TRIP)
}

/// Counters of the bytes on a link's socket, looked up once.
pub(crate) struct LinkMeter {
    read: Counter,
    written: Counter,
}

impl LinkMeter {
    /// Counters that all links share.
    pub(crate) fn new() -> Self {
        let bytes = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { read: bytes("in"), written: bytes("out") }
    }

    /// Counts bytes that were read.
    pub(crate) fn record_read(&self, bytes: usize) {
        self.read.increment(bytes as u64);
    }

    /// Counts bytes that were written.
    pub(crate) fn record_written(&self, bytes: usize) {
        self.written.increment(bytes as u64);
    }
}

/// Adds what the state machine of the links has counted since it was asked last.
pub(crate) fn record_link_stats(stats: LinkStats) {
    let LinkStats { stalls, resumed, gone } = stats;
    counter!(STALLS).increment(stalls);
    counter!(RESUMED, "outcome" => "resumed").increment(resumed);
    counter!(RESUMED, "outcome" => "gone").increment(gone);
}

/// Calls of proxies, and the memory that their answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkUsage {
    /// Calls that run, or whose answer was not acknowledged.
    pub(crate) calls: usize,
    /// Bytes of answers that were not acknowledged.
    pub(crate) journal: usize,
}

/// Sets the gauges of calls and journals.
pub(crate) fn set_link_usage(usage: LinkUsage) {
    gauge!(KEPT).set(usage.calls as f64);
    gauge!(JOURNAL).set(usage.journal as f64);
}
