//! The table of the notifications that a call may have, by era of its client. Must not know how they are read.

use crate::mcp::era::Era;

/// Row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// Method of the notification.
    pub method: &'static str,
    /// A legacy client may get it.
    pub legacy: bool,
    /// A modern client may get it.
    pub modern: bool,
    /// It must carry the call's progress token, so that a call without a token cannot have it.
    pub progress: bool,
}

/// Requests of a backend that may come on the stream of a legacy client's call (2025-11-25, elicitation, roots, sampling).
pub const CALL_REQUESTS: [&str; 3] = ["elicitation/create", "roots/list", "sampling/createMessage"];

/// Every notification that may come on the stream of a call (docs/PROTOCOL.md, "What an event and an end may say", has the same rows).
pub const CALL_EVENTS: [CallEvent; 2] = [
    CallEvent { method: "notifications/progress", legacy: true, modern: true, progress: true },
    CallEvent { method: "notifications/message", legacy: true, modern: true, progress: false },
];

impl CallEvent {
    /// Returns the row of a method; `None`: no call has it.
    pub fn find(method: &[u8]) -> Option<&'static Self> {
        CALL_EVENTS.iter().find(|event| event.method.as_bytes() == method)
    }

    /// Returns whether a call of a client of this era may have it.
    pub fn is_for(&self, era: Era) -> bool {
        match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }
}
