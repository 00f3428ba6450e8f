//! Metrics of queues, limits and stickiness. Knows tools by name only.

use ::metrics::{
    Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::TOOL_NAMES;

/// Calls that wait, by `tool`.
const WAITING: &str = "mcp_relay_queue_length";
/// How long calls waited, by `outcome`.
pub const QUEUE_WAIT: &str = "mcp_relay_queue_wait_seconds";
/// Calls that were refused, or had to wait for a limit, by `reason`.
const REFUSALS: &str = "mcp_relay_refusals_total";
/// Calls that did not go to their client's own slave.
const STICKY_MISSES: &str = "mcp_relay_sticky_misses_total";

/// Places come free within milliseconds or after `QUEUE_TIMEOUT`, 10 s unless set: the bounds span both, in seconds.
pub const QUEUE_WAIT_BUCKETS: [f64; 12] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

pub(super) fn describe() {
    describe_gauge!(WAITING, "Calls that wait for a slave with a free place, by tool");
    describe_histogram!(QUEUE_WAIT, Unit::Seconds, "Seconds that calls waited for a place, by outcome");
    describe_counter!(REFUSALS, "Calls that limits or full queues refused or kept waiting, by reason");
    describe_counter!(STICKY_MISSES, "Calls that went to another slave than their client's own");
    for refusal in Refusal::ALL {
        counter!(REFUSALS, "reason" => refusal.label()).increment(0);
    }
    counter!(STICKY_MISSES).increment(0);
}

/// Why a call was refused, or had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client's rate limit.
    ClientLimit,
    /// The tool's rate limit.
    ToolLimit,
    /// It waits because of slaves' rate limits.
    SlaveLimit,
    /// `QUEUE_MAX` calls wait already.
    QueueFull,
    /// It waited for `QUEUE_TIMEOUT` in vain.
    QueueTimeout,
}

impl Refusal {
    const ALL: [Self; 5] =
        [Self::ClientLimit, Self::ToolLimit, Self::SlaveLimit, Self::QueueFull, Self::QueueTimeout];

    fn label(self) -> &'static str {
        match self {
            Self::ClientLimit => "rate_limited_client",
            Self::ToolLimit => "rate_limited_tool",
            Self::SlaveLimit => "rate_limited_slave_wait",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }
}

/// A call was refused, or had to wait.
pub(crate) fn refused(why: Refusal) {
    counter!(REFUSALS, "reason" => why.label()).increment(1);
}

/// A call waits no longer. `outcome`: `sent`, `timeout`, `cancelled`, `no_slave`.
pub(crate) fn waited(outcome: &'static str, seconds: f64) {
    histogram!(QUEUE_WAIT, "outcome" => outcome).record(seconds);
}

/// A call went to another slave than its client's own.
pub(crate) fn sticky_miss() {
    counter!(STICKY_MISSES).increment(1);
}

/// Handle of one tool's queue.
pub(crate) struct QueueGauge(Gauge);

impl QueueGauge {
    pub(crate) fn new(tool: &str) -> Self {
        Self(gauge!(WAITING, "tool" => TOOL_NAMES.bounded(tool)))
    }

    /// So many calls wait.
    pub(crate) fn set(&self, waiting: usize) {
        self.0.set(waiting as f64);
    }
}
