//! Metrics of parked calls. Must not know what they wait for.

use metrics::{counter, gauge};

use super::table::{PARKED, PARKED_ENDS};

/// How the wait of a parked call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParkedEnd {
    /// The client's answers came.
    Resumed,
    /// They did not come in time.
    Expired,
    /// It was not parked: too many were.
    Refused,
}

/// Sets the number of calls that are parked.
pub(crate) fn set_parked(calls: usize) {
    gauge!(PARKED).set(calls as f64);
}

/// Counts a wait that ended.
pub(crate) fn record_parked_end(end: ParkedEnd) {
    let outcome = match end {
        ParkedEnd::Resumed => "resumed",
        ParkedEnd::Expired => "expired",
        ParkedEnd::Refused => "refused",
    };
    counter!(PARKED_ENDS, "outcome" => outcome).increment(1);
}
