//! How a call ended, for logs, spans and metrics. Must not know slaves.

use front::CallOutcome;
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::{self, FailureKind};

/// The end of a call.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    /// Label of the metrics.
    pub(super) outcome: &'static str,
    pub(super) ended: CallOutcome,
    /// Whether the end came from a slave.
    pub(super) answered: bool,
}

impl Ending {
    /// Returns the end by the last event of the response to a client of this era.
    pub(super) fn of(event: &ResponseEvent, era: Era) -> Self {
        let outcome = match event {
            ResponseEvent::End { error: true, payload, .. } => {
                failure::kind_in(payload).map_or("error", FailureKind::as_str)
            }
            ResponseEvent::End { tool_error: true, .. } => "tool_error",
            ResponseEvent::End { .. } | ResponseEvent::Event { .. } => "ok",
            ResponseEvent::Failed(failure) => failure.spec().kind,
        };
        Self {
            outcome,
            ended: CallOutcome::from_event(event, era),
            answered: matches!(event, ResponseEvent::End { .. }),
        }
    }

    /// Returns the end of a call whose reader went away. A legacy client's call runs on at the slave that has it.
    pub(super) fn reader_gone(era: Era, has_slave: bool) -> Self {
        let outcome = match (era, has_slave) {
            (Era::Legacy, true) => "abandoned",
            (Era::Modern, _) | (Era::Legacy, false) => "cancelled",
        };
        Self { outcome, ended: CallOutcome::Unanswered(outcome), answered: false }
    }
}
