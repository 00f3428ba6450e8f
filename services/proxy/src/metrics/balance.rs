//! Metrics of queues, limits and stickiness. Knows tools by name only.

use ::metrics::{Gauge, counter, gauge, histogram};

use super::TOOL_NAMES;
use super::table::{QUEUE_LIMIT, QUEUE_WAIT, REFUSALS, STICKY_MISSES, WAITING};

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
    /// All names.
    pub(super) const LABELS: [&'static str; 5] = [
        Self::ClientLimit.label(),
        Self::ToolLimit.label(),
        Self::SlaveLimit.label(),
        Self::QueueFull.label(),
        Self::QueueTimeout.label(),
    ];

    const fn label(self) -> &'static str {
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
    /// At most `most` calls may wait in it.
    pub(crate) fn new(tool: &str, most: usize) -> Self {
        let tool = TOOL_NAMES.bounded(tool);
        gauge!(QUEUE_LIMIT, "tool" => tool.clone()).set(most as f64);
        Self(gauge!(WAITING, "tool" => tool))
    }

    /// So many calls wait.
    pub(crate) fn set(&self, waiting: usize) {
        self.0.set(waiting as f64);
    }
}
