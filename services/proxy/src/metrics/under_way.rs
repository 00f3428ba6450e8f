//! The number of calls under way. Must not know what they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::metrics::gauge;

use super::table::{IN_FLIGHT, UNREAD};

/// Calls that began and have not ended.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A call begins.
pub(super) fn begin() {
    UNDER_WAY.fetch_add(1, Ordering::Relaxed);
}

/// A call ended.
pub(super) fn end() {
    UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
}

/// Sets the gauges. `unread`: calls whose clients have stopped reading, which no further replica would serve any faster.
pub(super) fn sample(unread: usize) {
    let all = UNDER_WAY.load(Ordering::Relaxed);
    gauge!(IN_FLIGHT).set(all.saturating_sub(unread) as f64);
    gauge!(UNREAD).set(unread.min(all) as f64);
}
