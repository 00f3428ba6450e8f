//! The level of log messages that a legacy child was told with `logging/setLevel`: the least severe one that any client asked for, since
//! several clients share the child. Must not know calls.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use protocol::mcp::log_level::LogLevel;

/// What a child knows of levels.
#[derive(Debug, Default)]
pub(super) struct ChildLogLevel {
    /// Whether the child takes `logging/setLevel`.
    settable: AtomicBool,
    /// The level that the child was told.
    told: Mutex<Option<LogLevel>>,
}

impl ChildLogLevel {
    /// Records that the child declared the capability `logging`, as a legacy server.
    pub(super) fn set_settable(&self) {
        self.settable.store(true, Ordering::Relaxed);
    }

    /// Returns whether the child must be told this level for a client that wants it; it counts as told from now on.
    pub(super) fn lower_to(&self, wanted: LogLevel) -> bool {
        if !self.settable.load(Ordering::Relaxed) {
            return false;
        }
        let mut told = self.told.lock();
        let is_new = told.is_none_or(|told| wanted < told);
        if is_new {
            *told = Some(wanted);
        }
        is_new
    }

    /// Returns the least severe level for clients that set none: everything that the child sends by itself, and of a child that was told
    /// a level for others what most servers send by themselves.
    pub(super) fn default_level(&self) -> LogLevel {
        if self.told.lock().is_some() { LogLevel::Info } else { LogLevel::Debug }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_told_only_levels_that_are_less_severe_than_before() {
        let level = ChildLogLevel::default();
        assert!(!level.lower_to(LogLevel::Debug), "it does not take levels");
        level.set_settable();
        assert_eq!(level.default_level(), LogLevel::Debug);
        for (wanted, told) in [
            (LogLevel::Error, true),
            (LogLevel::Error, false),
            (LogLevel::Alert, false),
            (LogLevel::Info, true),
            (LogLevel::Debug, true),
            (LogLevel::Info, false),
        ] {
            assert_eq!(level.lower_to(wanted), told, "{wanted:?}");
        }
        assert_eq!(level.default_level(), LogLevel::Info);
    }
}
