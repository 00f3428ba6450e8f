//! Ends of calls that get no response: those that their legacy client cancelled. Must not know bodies.

use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Era;
use protocol::mcp::failure::{Failure, FailureKind, kind_in};

/// Whether this end of a call is not told to a client of this era. A legacy client has forgotten the id of a request that it cancelled,
/// and is not to get a response to it (2025-11-25, Cancellation, "Behavior Requirements").
pub(super) fn is_unanswered(era: Era, event: &ResponseEvent) -> bool {
    era == Era::Legacy
        && match event {
            ResponseEvent::Failed(failure) => matches!(failure, Failure::Cancelled),
            ResponseEvent::End { more: false, error: true, payload, .. } => {
                kind_in(payload) == Some(FailureKind::Cancelled)
            }
            ResponseEvent::End { .. } | ResponseEvent::Event { .. } => false,
        }
}
