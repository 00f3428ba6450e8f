//! Metrics of the processes that a backend has for sessions or clients. Knows backends by name only.

use metrics::{counter, gauge};

use super::table::{CHILD_ENDS, CHILDREN};

/// Why the process of a session or client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildEnd {
    /// No call used it for the entry's idle time.
    Idle,
    /// Its session ended.
    SessionEnded,
    /// Another session needed its place.
    GaveWay,
    /// It exited by itself, or did not answer health checks any more.
    Exited,
    /// It could not be started, or was never ready.
    StartFailed,
    /// Its backend was removed or replaced, or the slave goes down.
    Stopped,
}

impl ChildEnd {
    /// Returns the reason, one of a fixed set.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SessionEnded => "session_ended",
            Self::GaveWay => "gave_way",
            Self::Exited => "exited",
            Self::StartFailed => "start_failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Adds to the number of processes that a backend has for sessions or clients.
pub(crate) fn add_children(backend: &str, count: f64) {
    gauge!(CHILDREN, "backend" => backend.to_owned()).increment(count);
}

/// Counts the end of such a process.
pub(crate) fn record_child_end(backend: &str, end: ChildEnd) {
    counter!(CHILD_ENDS, "backend" => backend.to_owned(), "reason" => end.label()).increment(1);
}
