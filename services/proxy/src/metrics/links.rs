//! Metrics of slaves and their links. Knows slaves by name only.

use std::collections::BTreeMap;

use ::metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use protocol::link::stats::LinkStats;

use super::names::{SLAVES, TOOLS};
use super::table::{
    AUTH_FAILURES, BAD_ANSWERS, CATALOG_BYTES, CATALOG_REFUSALS, CATALOG_WAITS, DRAINING, EJECTED, EJECTIONS,
    JOURNAL, LINK_BYTES, LINK_CALLS, LINK_CONNECTS, LINK_DISCONNECTS, LINK_IN_FLIGHT, LINK_RECONNECTS, PEERS,
    REJECTED_FACTS, RESUMED, ROUND_TRIP, SLAVE_DRAINS, SLAVE_STATE, STALLS, TIMEOUTS, UNKNOWN_CALLS,
};
use super::under_way;
use crate::slave_state::SlaveState;

/// Counters of the bytes of one link.
pub(crate) struct TrafficMeter {
    to_slave: Counter,
    from_slave: Counter,
}

impl TrafficMeter {
    pub(crate) fn new() -> Self {
        let bytes = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { to_slave: bytes("to_slave"), from_slave: bytes("from_slave") }
    }

    pub(crate) fn record_sent(&self, bytes: usize) {
        self.to_slave.increment(bytes as u64);
    }

    pub(crate) fn record_received(&self, bytes: usize) {
        self.from_slave.increment(bytes as u64);
    }
}

/// Counters of one slave's calls, each looked up once.
pub(crate) struct LinkMeter {
    ok: Counter,
    tool_error: Counter,
    failed: Counter,
    cancelled: Counter,
}

impl LinkMeter {
    pub(crate) fn new(slave: &str) -> Self {
        let slave = SLAVES.value(slave);
        let calls =
            |outcome: &'static str| counter!(LINK_CALLS, "slave" => slave.clone(), "outcome" => outcome);
        Self {
            ok: calls("ok"),
            tool_error: calls("tool_error"),
            failed: calls("failed"),
            cancelled: calls("cancelled"),
        }
    }

    /// Counts a call that ended while the slave had it. `outcome` as in [`super::CallMeter::record_end`].
    pub(crate) fn record_call(&self, outcome: &'static str) {
        match outcome {
            "ok" => &self.ok,
            "tool_error" => &self.tool_error,
            "cancelled" | "abandoned" => &self.cancelled,
            _ => &self.failed,
        }
        .increment(1);
    }
}

/// Admits the name of a slave as a label, among the names of its code. Must come before everything that names the slave.
pub(crate) fn admit_slave(code: &str, slave: &str) {
    SLAVES.admit(code, slave);
}

/// Sets how many slaves of this name are in each state of [`SlaveState::ALL`].
pub(crate) fn set_slave_states(slave: &str, counts: [u32; SlaveState::ALL.len()]) {
    let slave = SLAVES.value(slave);
    for (state, count) in SlaveState::ALL.into_iter().zip(counts) {
        gauge!(SLAVE_STATE, "slave" => slave.clone(), "state" => state.label()).set(f64::from(count));
    }
}

/// Returns the gauge of the round trip time of a slave's link, in seconds.
pub(crate) fn round_trip_gauge(slave: &str) -> Gauge {
    gauge!(ROUND_TRIP, "slave" => SLAVES.value(slave))
}

/// Counts an ejection of a slave; `reason` is the kind of the last failure.
pub(crate) fn record_ejection(slave: &str, reason: &'static str) {
    counter!(EJECTIONS, "slave" => SLAVES.value(slave), "reason" => reason).increment(1);
}

/// Sets the number of slaves that get none of a tool's calls.
pub(crate) fn set_ejected_members(tool: &str, members: usize) {
    gauge!(EJECTED, "tool" => TOOLS.value(tool)).set(members as f64);
}

/// Counts a link that came up.
pub(crate) fn record_connect(slave: &str, dialect: &'static str) {
    counter!(LINK_CONNECTS, "slave" => SLAVES.value(slave), "dialect" => dialect).increment(1);
}

/// Counts a link of a known slave process. `reason` is that of the end of the previous link.
pub(crate) fn record_reconnect(slave: &str, reason: &'static str) {
    counter!(LINK_RECONNECTS, "slave" => SLAVES.value(slave), "reason" => reason).increment(1);
}

/// Counts a link that ended.
pub(crate) fn record_disconnect(slave: &str, reason: &'static str) {
    counter!(LINK_DISCONNECTS, "slave" => SLAVES.value(slave), "reason" => reason).increment(1);
}

/// Counts a slave that announced its shutdown.
pub(crate) fn record_slave_drain(slave: &str) {
    counter!(SLAVE_DRAINS, "slave" => SLAVES.value(slave)).increment(1);
}

/// Counts a connection that did not become a link.
pub(crate) fn record_auth_failure(reason: &'static str) {
    counter!(AUTH_FAILURES, "reason" => reason).increment(1);
}

/// Counts a list, or a part that was not read, that is left out of a slave's catalog.
pub(crate) fn record_catalog_refusal(reason: &'static str) {
    counter!(CATALOG_REFUSALS, "reason" => reason).increment(1);
}

/// Counts a part of a catalog that waits because its code has used up its changes.
pub(crate) fn record_catalog_wait() {
    counter!(CATALOG_WAITS).increment(1);
}

/// Sets the bytes of all catalogs.
pub(crate) fn set_catalog_bytes(bytes: usize) {
    gauge!(CATALOG_BYTES).set(bytes as f64);
}

/// Counts a frame or an answer for a call that is not under way.
pub(crate) fn record_unknown_call() {
    counter!(UNKNOWN_CALLS).increment(1);
}

/// Counts an answer that its call may not have; `kind` is what is wrong with the answer.
pub(crate) fn record_bad_answer(slave: &str, kind: &'static str) {
    counter!(BAD_ANSWERS, "slave" => SLAVES.value(slave), "kind" => kind).increment(1);
}

/// Counts calls that reached a timeout.
pub(crate) fn record_timeouts(calls: usize) {
    if calls > 0 {
        counter!(TIMEOUTS).increment(calls as u64);
    }
}

/// Adds the counts of a link's state machine since the last call.
pub(crate) fn record_link_stats(stats: LinkStats) {
    let LinkStats { stalls, resumed, gone } = stats;
    for (count, counter) in [
        (stalls, counter!(STALLS)),
        (resumed, counter!(RESUMED, "outcome" => "resumed")),
        (gone, counter!(RESUMED, "outcome" => "gone")),
    ] {
        counter.increment(count);
    }
}

/// Records that this proxy shuts down.
pub(crate) fn set_draining() {
    gauge!(DRAINING).set(1);
}

/// Counts a fact of another proxy, passed on by a slave, that is not accepted. `kind`: `peer`, `revocation`, `rotation` or `session`.
pub(crate) fn record_rejected_fact(kind: &'static str) {
    counter!(REJECTED_FACTS, "kind" => kind).increment(1);
}

/// Sets the number of proxies that are known.
pub(crate) fn set_peers(proxies: usize) {
    gauge!(PEERS).set(proxies as f64);
}

/// The number of a slave's calls, and the memory that they use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkUsage {
    /// Calls under way at the slave.
    pub(crate) calls: usize,
    /// Unacknowledged bytes that were sent, or wait to be sent, to the slave.
    pub(crate) to_slave: usize,
    /// Bytes from the slave that clients have not read.
    pub(crate) from_slave: usize,
    /// Calls whose clients have stopped reading.
    pub(crate) unread: usize,
}

/// Returns a function that sets the gauges of all slaves, to be called before each scrape. `usage` returns the name and
/// the usage of each slave.
pub(crate) fn sample(
    usage: impl Fn() -> Vec<(String, LinkUsage)> + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static {
    let known: Mutex<BTreeMap<String, usize>> = Mutex::default();
    move || {
        let mut known = known.lock();
        // Slaves that have disappeared have no calls.
        known.values_mut().for_each(|calls| *calls = 0);
        let mut sum = LinkUsage::default();
        for (name, usage) in usage() {
            *known.entry(SLAVES.value(&name)).or_default() += usage.calls;
            sum.to_slave += usage.to_slave;
            sum.from_slave += usage.from_slave;
            sum.unread += usage.unread;
        }
        for (slave, calls) in &*known {
            gauge!(LINK_IN_FLIGHT, "slave" => slave.clone()).set(*calls as f64);
        }
        under_way::sample(sum.unread);
        gauge!(JOURNAL, "direction" => "to_slave").set(sum.to_slave as f64);
        gauge!(JOURNAL, "direction" => "from_slave").set(sum.from_slave as f64);
    }
}
