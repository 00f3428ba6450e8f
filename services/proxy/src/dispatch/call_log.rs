//! The log lines of one call: where it was sent, how it ended, why it failed. Bounded, whatever clients do
//! ([`runtime::call_lines`]). Must not know metrics and spans.
//!
//! The ids of the call are fields of each line by the context that is entered.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use protocol::link::call::ResponseEvent;
use protocol::link::ids::CallId;
use protocol::mcp::failure::{Failure, FailureKind, message_in};
use runtime::call_line;
use runtime::call_lines::{Lines, admit_failure};

/// Characters of an error's message that a line has.
const MAX_REASON: usize = 300;

/// A call that has ended.
pub(super) struct EndedCall<'a> {
    pub(super) lines: Lines,
    pub(super) id: CallId,
    pub(super) tool: &'a str,
    /// The slave that had it last; empty: none.
    pub(super) slave: &'a str,
    pub(super) outcome: &'static str,
    pub(super) elapsed: Duration,
}

/// Writes that a slave has got the call.
pub(super) fn log_forward(lines: Lines, id: CallId, slave: &str, tool: &str) {
    call_line!(lines, slave, tool, "Forwarding request to slave: tools/call (id: {id})");
}

impl EndedCall<'_> {
    /// Writes how the call ended. `last` is the last event of its response; `None`: its reader went away.
    pub(super) fn log(&self, last: Option<&ResponseEvent>) {
        let Self { lines, id, tool, slave, outcome, elapsed } = *self;
        lines.record_end(outcome);
        match last {
            // It waited for a slave that did not come.
            Some(ResponseEvent::Failed(failure @ Failure::NoSlave)) => log_refusal(failure, tool),
            Some(last) if is_fault(outcome) => self.log_failure(last),
            Some(ResponseEvent::End { .. }) => {
                let seconds = elapsed.as_secs_f64();
                call_line!(lines, slave, tool, seconds, "Received response from slave (id: {id})");
                call_line!(lines, tool, outcome, "Response forwarded to client (id: {id})");
            }
            _ => call_line!(lines, slave, tool, outcome, "Call ended without a response (id: {id})"),
        }
    }

    fn log_failure(&self, last: &ResponseEvent) {
        let Self { id, tool, slave, outcome, elapsed, .. } = *self;
        if !admit_failure(Instant::now(), outcome) {
            return;
        }
        let (seconds, reason) = (elapsed.as_secs_f64(), reason(last));
        tracing::warn!(tool, slave, kind = outcome, seconds, "Call failed: {reason} (id: {id})");
    }
}

/// Writes why a call was refused before any slave had it, where that is no fault of its client.
pub(super) fn log_refusal(failure: &Failure, tool: &str) {
    let kind = failure.kind();
    if !kind.is_fault() {
        return tracing::debug!(tool, kind = kind.as_str(), "Call refused: {failure}");
    }
    if !admit_failure(Instant::now(), kind.as_str()) {
        return;
    }
    if *failure == Failure::NoSlave {
        tracing::warn!(tool, kind = kind.as_str(), "No slave connected, cannot execute request");
    } else {
        tracing::warn!(tool, kind = kind.as_str(), "Call refused: {failure}");
    }
}

/// Returns whether the outcome of a call is one that an operator should know of.
fn is_fault(outcome: &str) -> bool {
    outcome != "ok" && FailureKind::parse(outcome).is_some_and(FailureKind::is_fault)
}

/// Returns the reason that the client is told, shortened.
fn reason(last: &ResponseEvent) -> String {
    let text = match last {
        ResponseEvent::Failed(failure) => Cow::Owned(failure.to_string()),
        ResponseEvent::Event { payload, .. } | ResponseEvent::End { payload, .. } => {
            message_in(payload).unwrap_or(Cow::Borrowed("no message"))
        }
    };
    let mut short: String = text.chars().take(MAX_REASON).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use protocol::mcp::era::Era;

    use super::*;

    #[test]
    fn the_reason_is_that_of_the_client_and_is_short() {
        let failed = ResponseEvent::Failed(Failure::OutcomeUnknown);
        assert_eq!(reason(&failed), "Outcome unknown: the slave was lost while it had the call");
        let end = |payload: String| ResponseEvent::End {
            seq: 0,
            more: false,
            error: true,
            tool_error: false,
            status: 0,
            payload: payload.into(),
        };
        let failure = Failure::BackendFailed {
            backend: "b".into(),
            reason: "exited with code 3".into(),
            retry_after: None,
        };
        let text = reason(&end(failure.error_object(Era::Legacy)));
        assert_eq!(text, "Backend \"b\" failed: exited with code 3");
        let long = reason(&end(format!(r#"{{"code":1,"message":"{}"}}"#, "ä".repeat(1000))));
        assert_eq!(long.chars().count(), MAX_REASON + 1);
        assert_eq!(reason(&end("5".into())), "no message");
    }
}
