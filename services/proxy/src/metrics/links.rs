//! Metrics of slaves and their links. Knows slaves by name only.

use parking_lot::Mutex;
use std::collections::BTreeMap;

use ::metrics::{Counter, Gauge, counter, gauge};
use protocol::link::stats::LinkStats;

use super::table::{
    AUTH_FAILURES, DRAINING, EJECTED, EJECTIONS, JOURNAL, LINK_BYTES, LINK_CALLS, LINK_CONNECTS,
    LINK_DISCONNECTS, LINK_IN_FLIGHT, LINK_RECONNECTS, PEERS, RESUMED, ROUND_TRIP, SLAVE_DRAINS, SLAVE_STATE,
    STALLS, STRAYS,
};
use super::{SLAVE_NAMES, TOOL_NAMES};
use crate::slave_state::SlaveState;

/// Bytes of one link.
pub(crate) struct Traffic {
    to_slave: Counter,
    from_slave: Counter,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        let of = |direction: &'static str| counter!(LINK_BYTES, "direction" => direction);
        Self { to_slave: of("to_slave"), from_slave: of("from_slave") }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.to_slave.increment(bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.from_slave.increment(bytes as u64);
    }
}

/// Calls of one slave, looked up once.
pub(crate) struct LinkMeter {
    ok: Counter,
    tool_error: Counter,
    failed: Counter,
    cancelled: Counter,
}

impl LinkMeter {
    pub(crate) fn new(slave: &str) -> Self {
        let slave = SLAVE_NAMES.bounded(slave);
        let of = |outcome: &'static str| counter!(LINK_CALLS, "slave" => slave.clone(), "outcome" => outcome);
        Self { ok: of("ok"), tool_error: of("tool_error"), failed: of("failed"), cancelled: of("cancelled") }
    }

    /// A call ended that the slave had; `outcome` as in [`super::CallMeter::ended`].
    pub(crate) fn ended(&self, outcome: &'static str) {
        match outcome {
            "ok" => &self.ok,
            "tool_error" => &self.tool_error,
            "cancelled" | "abandoned" => &self.cancelled,
            _ => &self.failed,
        }
        .increment(1);
    }
}

/// So many slaves of this name are in the states of [`SlaveState::ALL`].
pub(crate) fn slave_states(slave: &str, counts: [u32; SlaveState::ALL.len()]) {
    let slave = SLAVE_NAMES.bounded(slave);
    for (state, count) in SlaveState::ALL.into_iter().zip(counts) {
        gauge!(SLAVE_STATE, "slave" => slave.clone(), "state" => state.label()).set(f64::from(count));
    }
}

/// Round trips of one slave's link.
pub(crate) fn round_trips(slave: &str) -> Gauge {
    gauge!(ROUND_TRIP, "slave" => SLAVE_NAMES.bounded(slave))
}

/// A slave gets no calls for a while.
pub(crate) fn ejection(slave: &str, reason: &'static str) {
    counter!(EJECTIONS, "slave" => SLAVE_NAMES.bounded(slave), "reason" => reason).increment(1);
}

/// So many members of a tool get none of its calls.
pub(crate) fn ejected_members(tool: &str, members: usize) {
    gauge!(EJECTED, "tool" => TOOL_NAMES.bounded(tool)).set(members as f64);
}

/// A link came up.
pub(crate) fn link_connected(slave: &str, dialect: &'static str) {
    counter!(LINK_CONNECTS, "slave" => SLAVE_NAMES.bounded(slave), "dialect" => dialect).increment(1);
}

/// The link of a slave process came back; the one before had ended for this reason.
pub(crate) fn link_reconnected(slave: &str, reason: &'static str) {
    counter!(LINK_RECONNECTS, "slave" => SLAVE_NAMES.bounded(slave), "reason" => reason).increment(1);
}

/// A link ended.
pub(crate) fn link_disconnected(slave: &str, reason: &'static str) {
    counter!(LINK_DISCONNECTS, "slave" => SLAVE_NAMES.bounded(slave), "reason" => reason).increment(1);
}

/// A slave said that it goes down.
pub(crate) fn link_drains(slave: &str) {
    counter!(SLAVE_DRAINS, "slave" => SLAVE_NAMES.bounded(slave)).increment(1);
}

/// A connection did not become a link.
pub(crate) fn auth_failed(reason: &'static str) {
    counter!(AUTH_FAILURES, "reason" => reason).increment(1);
}

/// A frame that belongs to nothing.
pub(crate) fn stray() {
    counter!(STRAYS).increment(1);
}

/// What a link's state machine counted since it was asked last.
pub(crate) fn tally(tally: LinkStats) {
    let LinkStats { stalls, resumed, gone } = tally;
    for (counted, counter) in [
        (stalls, counter!(STALLS)),
        (resumed, counter!(RESUMED, "outcome" => "resumed")),
        (gone, counter!(RESUMED, "outcome" => "gone")),
    ] {
        counter.increment(counted);
    }
}

/// This proxy goes down.
pub(crate) fn draining() {
    gauge!(DRAINING).set(1);
}

/// So many proxies are known.
pub(crate) fn peers(proxies: usize) {
    gauge!(PEERS).set(proxies as f64);
}

/// What a slave holds at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Calls that it has.
    pub(crate) calls: usize,
    /// Bytes that go or went to it and are not acknowledged.
    pub(crate) to_slave: usize,
    /// Bytes of it that clients have not taken.
    pub(crate) from_slave: usize,
}

/// Looks at all slaves before each scrape; `look` gives their names and what they hold.
pub(crate) fn sample(
    look: impl Fn() -> Vec<(String, Held)> + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static {
    let known: Mutex<BTreeMap<String, usize>> = Mutex::default();
    move || {
        let mut known = known.lock();
        // Slaves that are gone have no calls.
        known.values_mut().for_each(|calls| *calls = 0);
        let mut sum = Held::default();
        for (name, held) in look() {
            *known.entry(SLAVE_NAMES.bounded(&name)).or_default() += held.calls;
            sum.to_slave += held.to_slave;
            sum.from_slave += held.from_slave;
        }
        for (slave, calls) in &*known {
            gauge!(LINK_IN_FLIGHT, "slave" => slave.clone()).set(*calls as f64);
        }
        gauge!(JOURNAL, "direction" => "to_slave").set(sum.to_slave as f64);
        gauge!(JOURNAL, "direction" => "from_slave").set(sum.from_slave as f64);
    }
}
