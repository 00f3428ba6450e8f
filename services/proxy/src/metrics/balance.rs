//! Metrics of queues, limits and stickiness. Knows tools by name only.

use ::metrics::{Gauge, counter, gauge, histogram};

use super::names::TOOLS;
use super::refusal::RefusalReason;
use super::table::{QUEUE_LIMIT, QUEUE_WAIT, REFUSALS, STICKY_MISSES, WAITING};

/// Counts a call that was refused, or had to wait.
pub(crate) fn record_refusal(reason: RefusalReason) {
    counter!(REFUSALS, "reason" => reason.label()).increment(1);
}

/// Records the time that a call waited in a queue. `outcome`: `sent`, `timeout`, `cancelled`, `no_slave`.
pub(crate) fn record_queue_wait(outcome: &'static str, seconds: f64) {
    histogram!(QUEUE_WAIT, "outcome" => outcome).record(seconds);
}

/// Counts a call that was sent to a slave other than its client's sticky one.
pub(crate) fn record_sticky_miss() {
    counter!(STICKY_MISSES).increment(1);
}

/// Gauge of the calls that wait in the queue of a tool.
pub(crate) struct QueueGauge(Gauge);

impl QueueGauge {
    /// Creates the gauge of a queue that takes at most `limit` calls.
    pub(crate) fn new(tool: &str, limit: usize) -> Self {
        let tool = TOOLS.value(tool);
        gauge!(QUEUE_LIMIT, "tool" => tool.clone()).set(limit as f64);
        Self(gauge!(WAITING, "tool" => tool))
    }

    /// Sets the number of calls that wait.
    pub(crate) fn set(&self, waiting: usize) {
        self.0.set(waiting as f64);
    }
}
