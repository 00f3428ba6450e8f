//! The log lines of one call as the slave runs it. Bounded, whatever callers do ([`runtime::call_lines`]). Must not know
//! backends.
//!
//! The ids of the call are fields of each line by the context that is entered.

use std::time::{Duration, Instant};

use protocol::mcp::failure::Failure;
use runtime::call_line;
use runtime::call_lines::{Lines, admit_failure};

use crate::outcome::BackendOutcome;

/// A call that runs.
#[derive(Clone, Copy)]
pub(super) struct RunningCall<'a> {
    pub(super) lines: Lines,
    /// The backend's name of the tool.
    pub(super) tool: &'a str,
    pub(super) backend: &'a str,
}

impl RunningCall<'_> {
    /// Writes that the tool is run.
    pub(super) fn log_start(self) {
        let Self { lines, tool, backend } = self;
        call_line!(lines, tool, backend, "Executing tool locally");
    }

    /// Writes how the call ended, and why it failed.
    pub(super) fn log_end(self, outcome: BackendOutcome, failure: Option<&Failure>, elapsed: Duration) {
        let Self { lines, tool, backend } = self;
        let (outcome, seconds) = (outcome.label(), elapsed.as_secs_f64());
        lines.record_end(outcome);
        match failure.filter(|failure| failure.kind().is_fault()) {
            Some(failure) => {
                if admit_failure(Instant::now(), outcome) {
                    tracing::warn!(tool, backend, kind = outcome, seconds, "Call failed: {failure}");
                }
            }
            None => call_line!(lines, tool, backend, outcome, seconds, "Tool was executed"),
        }
    }
}

/// Writes why a call was refused before its backend had it.
pub(super) fn log_refusal(tool: &str, failure: &Failure) {
    let kind = failure.kind();
    if !kind.is_fault() {
        tracing::debug!(tool, kind = kind.as_str(), "Call refused: {failure}");
    } else if admit_failure(Instant::now(), kind.as_str()) {
        tracing::warn!(tool, kind = kind.as_str(), "Call refused: {failure}");
    }
}
