//! Readers of a shared child's log messages, which name no call: which calls in flight get one. Must not know requests.
//!
//! A message goes on only where all calls in flight are one client's, since it may belong to any of them. It goes to one call of a
//! session (2025-11-25, Transports, "Multiple Connections": no message on several streams), the one that began first, and to
//! every call without a session, whose stream alone says what a message belongs to.

use std::collections::HashSet;

use protocol::mcp::log_level::LogLevel;

/// The log messages that the client of a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogWish {
    /// None at all: a modern client that named no level.
    None,
    /// What the server sends by itself: a legacy client that set no level.
    Default,
    /// This level and more severe ones.
    AtLeast(LogLevel),
}

/// A call in flight as a reader of log messages.
#[derive(Debug)]
pub(super) struct LogReader {
    /// Stands for the client; `None`: a client like no other.
    pub(super) client: Option<Box<str>>,
    /// The legacy session.
    pub(super) session: Option<Box<str>>,
    pub(super) wish: LogWish,
}

/// A log message, as far as its way is decided by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogMessage {
    pub(super) level: LogLevel,
    /// The least severe level for clients that set none.
    pub(super) default: LogLevel,
}

impl LogReader {
    fn wants(&self, message: LogMessage) -> bool {
        match self.wish {
            LogWish::None => false,
            LogWish::Default => message.level >= message.default,
            LogWish::AtLeast(level) => message.level >= level,
        }
    }
}

/// Returns the call that a request of the child is for, of all calls in flight: the one that began last, where all are one client's and of
/// one session. A request names no call, and must reach no other client. Ids grow with the time.
pub(super) fn owner<'a>(calls: impl Iterator<Item = (u64, &'a LogReader)>) -> Option<u64> {
    let calls: Vec<_> = calls.collect();
    let (id, last) = calls.iter().max_by_key(|(id, _)| *id)?;
    let is_one = |other: &LogReader| {
        other.client.is_some() && (&other.client, &other.session) == (&last.client, &last.session)
    };
    (calls.len() == 1 || calls.iter().all(|(_, other)| is_one(other))).then_some(*id)
}

/// Returns the ids of the calls that get a message, of all calls in flight. Ids grow with the time.
pub(super) fn recipients<'a>(
    calls: impl Iterator<Item = (u64, &'a LogReader)>,
    message: LogMessage,
) -> Vec<u64> {
    let mut calls: Vec<_> = calls.collect();
    let is_one_client = match calls.as_slice() {
        [] | [_] => true,
        [(_, first), others @ ..] => {
            first.client.is_some() && others.iter().all(|(_, other)| other.client == first.client)
        }
    };
    if !is_one_client {
        return Vec::new();
    }
    calls.sort_unstable_by_key(|(id, _)| *id);
    let mut served = HashSet::new();
    calls
        .into_iter()
        .filter(|(_, call)| call.wants(message))
        .filter(|(_, call)| call.session.as_deref().is_none_or(|session| served.insert(session)))
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: LogMessage = LogMessage { level: LogLevel::Info, default: LogLevel::Debug };

    /// Calls as (client, session, wish); an empty text is none. Ids begin at 1.
    fn of(calls: &[(&str, &str, LogWish)], message: LogMessage) -> Vec<u64> {
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        let readers: Vec<LogReader> = calls
            .iter()
            .map(|(client, session, wish)| LogReader {
                client: text(client),
                session: text(session),
                wish: *wish,
            })
            .collect();
        recipients((1..).zip(&readers), message)
    }

    #[test]
    fn a_message_goes_to_one_call_of_each_session_and_to_no_other_client() {
        use LogWish::{AtLeast, Default, None};
        let info = AtLeast(LogLevel::Info);
        for (calls, expected) in [
            (&[][..], &[][..]),
            (&[("", "", info)], &[1]),
            (&[("a", "", None)], &[]),
            (&[("a", "s", Default), ("a", "s", Default), ("a", "s", Default)], &[1]),
            (&[("a", "s", AtLeast(LogLevel::Error)), ("a", "s", Default)], &[2]),
            (&[("a", "s", Default), ("a", "t", Default), ("a", "s", Default)], &[1, 2]),
            (&[("a", "", info), ("a", "", info), ("a", "", None), ("a", "", info)], &[1, 2, 4]),
            (&[("a", "s", Default), ("a", "", info)], &[1, 2]),
            // The message may be another client's, whether that one reads messages or not.
            (&[("a", "s", Default), ("b", "t", Default)], &[]),
            (&[("a", "", info), ("b", "", None)], &[]),
            (&[("a", "", info), ("", "", None)], &[]),
            (&[("", "", info), ("a", "", info)], &[]),
            (&[("", "", info), ("", "", info)], &[]),
        ] {
            assert_eq!(of(calls, INFO), expected, "{calls:?}");
        }
    }

    #[test]
    fn levels_are_kept() {
        for (wish, level, default, expected) in [
            (LogWish::Default, LogLevel::Debug, LogLevel::Debug, true),
            (LogWish::Default, LogLevel::Debug, LogLevel::Info, false),
            (LogWish::Default, LogLevel::Info, LogLevel::Info, true),
            (LogWish::AtLeast(LogLevel::Debug), LogLevel::Debug, LogLevel::Info, true),
            (LogWish::AtLeast(LogLevel::Warning), LogLevel::Notice, LogLevel::Debug, false),
            (LogWish::AtLeast(LogLevel::Warning), LogLevel::Emergency, LogLevel::Debug, true),
            (LogWish::None, LogLevel::Emergency, LogLevel::Debug, false),
        ] {
            let found = of(&[("a", "s", wish)], LogMessage { level, default });
            assert_eq!(!found.is_empty(), expected, "{wish:?} {level:?} {default:?}");
        }
    }
}
