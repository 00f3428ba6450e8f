//! Metrics of links and of what they carry. Knows no proxy.

use metrics::{Counter, Histogram, counter, gauge, histogram};
use protocol::link::stats::LinkStats;

use super::table::{
    DIALS, JOURNAL, KEPT, LINK_BYTES, LINK_CONNECTS, LINK_DISCONNECTS, LINK_RECONNECTS, LINKS, LINKS_WANTED,
    RESUMED, ROUND_TRIP, STALLS,
};

/// A link was authenticated.
pub(crate) fn link_made(dialect: &'static str) {
    counter!(LINK_CONNECTS, "dialect" => dialect).increment(1);
}

/// A link, or an attempt to make one, ended.
pub(crate) fn link_ended(reason: &'static str) {
    counter!(LINK_DISCONNECTS, "reason" => reason).increment(1);
}

/// A link came back; the one before had ended for this reason.
pub(crate) fn link_reconnected(reason: &'static str) {
    counter!(LINK_RECONNECTS, "reason" => reason).increment(1);
}

/// So many links are up.
pub(crate) fn links_up(links: usize) {
    gauge!(LINKS).set(links as f64);
}

/// So many links there should be.
pub(crate) fn links_wanted(links: usize) {
    gauge!(LINKS_WANTED).set(links as f64);
}

/// A proxy was dialed.
pub(crate) fn dialed(outcome: &'static str) {
    counter!(DIALS, "outcome" => outcome).increment(1);
}

/// Where round trips of links are recorded, in seconds.
pub(crate) fn round_trips() -> Histogram {
    histogram!(ROUND_TRIP)
}

/// The bytes of one link's socket, looked up once.
pub(crate) struct LinkMeters {
    read: Counter,
    written: Counter,
}

impl LinkMeters {
    /// Counts into the same series for every link.
    pub(crate) fn new() -> Self {
        let bytes = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { read: bytes("in"), written: bytes("out") }
    }

    /// Bytes came in.
    pub(crate) fn read(&self, bytes: usize) {
        self.read.increment(bytes as u64);
    }

    /// Bytes went out.
    pub(crate) fn written(&self, bytes: usize) {
        self.written.increment(bytes as u64);
    }
}

/// What the links' state machine counted since it was asked last.
pub(crate) fn tally(tally: LinkStats) {
    let LinkStats { stalls, resumed, gone } = tally;
    counter!(STALLS).increment(stalls);
    counter!(RESUMED, "outcome" => "resumed").increment(resumed);
    counter!(RESUMED, "outcome" => "gone").increment(gone);
}

/// What is kept for proxies at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Calls that run or whose answer was not taken.
    pub(crate) calls: usize,
    /// Bytes of answers that were not taken.
    pub(crate) journal: usize,
}

/// So much is kept.
pub(crate) fn held(held: Held) {
    gauge!(KEPT).set(held.calls as f64);
    gauge!(JOURNAL).set(held.journal as f64);
}
