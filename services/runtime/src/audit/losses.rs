//! Counts of audit lines by outcome, and of lost lines that the stream has not reported yet. Knows no line.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::counter;

use crate::metrics::{Label, Metric};

const LINES: &str = "mcp_relay_audit_lines_total";

/// The metrics of the audit stream.
pub const METRICS: &[Metric] = &[Metric::counter(
    LINES,
    &[Label::of("outcome", &["written", "failed", "dropped"])],
    "Audit lines by what became of them: written, failed (AUDIT_LOG could not be written), dropped (too many waited).",
)];

/// Lost lines that no `audit_lost` line has reported yet.
static UNREPORTED: AtomicU64 = AtomicU64::new(0);

/// Counts written lines.
pub(super) fn record_written(lines: u64) {
    counter!(LINES, "outcome" => "written").increment(lines);
}

/// Counts lost lines (`failed`, `dropped`), to be reported in the stream.
pub(super) fn record_lost(outcome: &'static str, lines: u64) {
    counter!(LINES, "outcome" => outcome).increment(lines);
    UNREPORTED.fetch_add(lines, Ordering::Relaxed);
}

/// Takes the number of lost lines that are to be reported.
pub(super) fn take_unreported() -> u64 {
    UNREPORTED.swap(0, Ordering::Relaxed)
}

/// Puts back a number whose report could not be written.
pub(super) fn restore_unreported(lines: u64) {
    UNREPORTED.fetch_add(lines, Ordering::Relaxed);
}
