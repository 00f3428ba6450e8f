//! Levels of log messages (2025-11-25 and 2026-07-28, Logging), and the levels that sessions asked for. Must not know messages.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Level of a log message, from the least severe to the most severe one (RFC 5424).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `notice`.
    Notice,
    /// `warning`.
    Warning,
    /// `error`.
    Error,
    /// `critical`.
    Critical,
    /// `alert`.
    Alert,
    /// `emergency`.
    Emergency,
}

impl LogLevel {
    /// All levels, the least severe first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Returns the level as messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// Reads a level; `None` if there is none of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// Largest number of sessions whose levels are remembered.
pub const MAX_SESSIONS: usize = 10_000;

/// Levels that sessions asked for with `logging/setLevel`, by the sessions' keys, in bounded memory: beyond [`MAX_SESSIONS`] the level
/// that was set first is forgotten.
#[derive(Clone, Debug, Default)]
pub struct SessionLevels {
    levels: HashMap<Box<str>, LogLevel>,
    /// Keys in the order in which they came; those of sessions that were removed may still be there.
    order: VecDeque<Box<str>>,
}

impl SessionLevels {
    /// Returns the level of a session; `None`: it asked for none.
    pub fn get(&self, session: &str) -> Option<LogLevel> {
        self.levels.get(session).copied()
    }

    /// Sets the level of a session.
    pub fn set(&mut self, session: &str, level: LogLevel) {
        if let Some(known) = self.levels.get_mut(session) {
            *known = level;
            return;
        }
        while self.order.len() >= MAX_SESSIONS {
            if let Some(first) = self.order.pop_front() {
                self.levels.remove(&first);
            }
        }
        self.levels.insert(session.into(), level);
        self.order.push_back(session.into());
    }

    /// Forgets a session.
    pub fn remove(&mut self, session: &str) {
        if self.levels.remove(session).is_some() {
            self.order.retain(|key| &**key != session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_named_as_in_the_specification() {
        assert!(LogLevel::ALL.is_sorted() && LogLevel::Debug < LogLevel::Emergency);
        for level in LogLevel::ALL {
            assert_eq!(LogLevel::parse(level.as_str()), Some(level));
            assert_eq!(serde_json::to_string(&level).unwrap(), format!("\"{}\"", level.as_str()));
        }
        for unknown in ["", "Info", "INFO", "warn", "trace", " info"] {
            assert_eq!(LogLevel::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn levels_of_sessions_are_bounded_and_the_first_ones_are_forgotten() {
        let mut levels = SessionLevels::default();
        levels.set("a", LogLevel::Error);
        levels.set("b", LogLevel::Error);
        levels.set("a", LogLevel::Debug);
        assert_eq!((levels.get("a"), levels.get("c")), (Some(LogLevel::Debug), None));
        levels.remove("b");
        levels.remove("b");
        assert_eq!((levels.get("b"), levels.order.len()), (None, 1));
        for n in 0..MAX_SESSIONS {
            levels.set(&n.to_string(), LogLevel::Info);
        }
        assert_eq!(
            (levels.levels.len(), levels.order.len(), levels.get("a")),
            (MAX_SESSIONS, MAX_SESSIONS, None)
        );
    }
}
