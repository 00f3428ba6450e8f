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

/// The status of a task (2025-11-25, Tasks, "Task Status Notification").
pub const TASK_STATUS: &str = "notifications/tasks/status";

/// Requests of a backend that may come on the stream of a legacy client's call (2025-11-25, elicitation, roots, sampling).
pub const CALL_REQUESTS: [&str; 3] = ["elicitation/create", "roots/list", "sampling/createMessage"];

/// Every notification that may come on the stream of a call (docs/PROTOCOL.md, "What an event and an end may say", has the same rows).
pub const CALL_EVENTS: [CallEvent; 3] = [
    CallEvent { method: "notifications/progress", legacy: true, modern: true, progress: true },
    CallEvent { method: "notifications/message", legacy: true, modern: true, progress: false },
    CallEvent { method: TASK_STATUS, legacy: true, modern: false, progress: false },
];

/// Notifications, in lower case, that come on no call's stream: they have ways of their own, or name what is the relay's. A name that ends
/// with `/` stands for all that begin with it.
pub const NEVER_OF_A_CALL: [&str; 12] = [
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/message",
    "notifications/posted",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/",
    "notifications/roots/list_changed",
    "notifications/subscriptions/",
    "notifications/tasks",
    "notifications/tasks/",
    "notifications/tools/list_changed",
];

/// Row of all others, which extensions have: they are passed on as they stand.
static EXTENSION: CallEvent = CallEvent { method: "", legacy: true, modern: true, progress: false };

impl CallEvent {
    /// Returns the row of a method; `None`: no call has it.
    pub fn find(method: &[u8]) -> Option<&'static Self> {
        let known = CALL_EVENTS.iter().find(|event| event.method.as_bytes() == method);
        known.or_else(|| is_extension(method).then_some(&EXTENSION))
    }

    /// Returns whether a call of a client of this era may have it.
    pub fn is_for(&self, era: Era) -> bool {
        match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        }
    }
}

/// Returns whether a method is that of a notification that no specification of ours names.
pub fn is_extension(method: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_-.".contains(byte);
    let rest = method.strip_prefix(b"notifications/").filter(|rest| !rest.is_empty());
    if rest.is_none_or(|rest| !rest.iter().all(is_name)) {
        return false;
    }
    let lower = method.to_ascii_lowercase();
    !NEVER_OF_A_CALL.iter().any(|name| match name.strip_suffix('/') {
        Some(_) => lower.starts_with(name.as_bytes()),
        None => lower == name.as_bytes(),
    })
}
