//! Check of the messages that a call's answer consists of, piece by piece: each is exactly one JSON value, and one that this call may
//! have (docs/PROTOCOL.md, "What an event and an end may say"). Must not know links or frames.
//!
//! A piece is passed on only after it was checked, so that nothing of a slave can end the JSON-RPC message around it or stand for
//! another message. Nothing is allocated for a piece.

mod facts;
mod kinds;
mod members;
mod token;

pub use kinds::{CALL_EVENTS, CallEvent};
pub use token::ProgressToken;

use facts::{Facts, Watch};

use crate::mcp::era::Era;
use crate::mcp::scan::{ScanFault, Scanner};

/// What a message has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageShape {
    /// JSON-RPC notification of [`CALL_EVENTS`].
    Event,
    /// `result` value of a response: an object.
    Result,
    /// `error` object of a response, with an integer `code` and a string `message`.
    Error,
}

/// What the call is, as far as the messages that it may have depend on it.
#[derive(Clone, Copy, Debug)]
pub struct CallRules<'a> {
    /// Era of the client.
    pub era: Era,
    /// The client's progress token; `None`: the client wants no progress.
    pub token: Option<&'a ProgressToken>,
}

/// Why a message is not one that the call may have. The text names no content of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// Not one JSON value.
    #[error(transparent)]
    Scan(#[from] ScanFault),
    /// A result that is no object.
    #[error("a result is not an object")]
    NotAResult,
    /// An error without a code or a message, or with one of them twice.
    #[error("an error object lacks its code or message")]
    NotAnError,
    /// A request or response where only a notification may stand, or no JSON-RPC message at all.
    #[error("an event is not a notification")]
    NotANotification,
    /// A notification that a call cannot have.
    #[error("a notification is of a kind that a call does not have")]
    Method,
    /// Progress with another token than the call's.
    #[error("a progress notification does not carry the call's token")]
    ProgressToken,
}

impl MessageFault {
    /// Every stable name, for metrics.
    pub const NAMES: [&'static str; 7] = [
        "not_json",
        "too_deep",
        "not_a_result",
        "not_an_error",
        "not_a_notification",
        "other_notification",
        "progress_token",
    ];

    /// Returns the stable name: metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan(ScanFault::TooDeep) => "too_deep",
            Self::Scan(_) => "not_json",
            Self::NotAResult => "not_a_result",
            Self::NotAnError => "not_an_error",
            Self::NotANotification => "not_a_notification",
            Self::Method => "other_notification",
            Self::ProgressToken => "progress_token",
        }
    }
}

/// Check of one message.
#[derive(Debug)]
pub struct MessageCheck {
    scanner: Scanner,
    facts: Facts,
}

impl MessageCheck {
    /// Begins a message.
    pub const fn new(shape: MessageShape) -> Self {
        Self { scanner: Scanner::new(), facts: Facts::new(shape) }
    }

    /// Checks one message that is there as a whole.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn whole(shape: MessageShape, message: &[u8], rules: CallRules<'_>) -> Result<(), MessageFault> {
        let mut check = Self::new(shape);
        check.feed(message, rules)?;
        check.finish(rules)
    }

    /// Returns what the message has to be.
    pub fn shape(&self) -> MessageShape {
        self.facts.shape()
    }

    /// Checks the next piece, which may be empty. After a fault the check must not be used any more.
    ///
    /// # Errors
    /// What is wrong with the message as far as it has come.
    pub fn feed(&mut self, piece: &[u8], rules: CallRules<'_>) -> Result<(), MessageFault> {
        self.scanner.feed(piece, &mut Watch { facts: &mut self.facts, rules })?;
        self.facts.early_fault(rules.era).map_or(Ok(()), Err)
    }

    /// Ends the message.
    ///
    /// # Errors
    /// The message is not complete, or not what it has to be.
    pub fn finish(&mut self, rules: CallRules<'_>) -> Result<(), MessageFault> {
        self.scanner.finish(&mut Watch { facts: &mut self.facts, rules })?;
        self.facts.fault(rules.era).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
