//! Check of the messages that a call's answer consists of, piece by piece: each is exactly one JSON value, and one that this call may
//! have (docs/PROTOCOL.md, "What an event and an end may say"). Must not know links or frames.
//!
//! A piece is passed on only after it was checked, so that nothing of a slave can end the JSON-RPC message around it or stand for
//! another message. Nothing is allocated for a piece.

mod facts;
mod kinds;
mod members;
mod rules;
mod token;

pub use kinds::{CALL_EVENTS, CALL_REQUESTS, CallEvent, NEVER_OF_A_CALL, TASK_STATUS, is_extension};
pub use rules::{CallRules, MessageFault, MessageShape};
pub use token::ProgressToken;

use facts::{Facts, Watch};

use crate::mcp::scan::Scanner;

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
        self.facts.early_fault(rules).map_or(Ok(()), Err)
    }

    /// Ends the message.
    ///
    /// # Errors
    /// The message is not complete, or not what it has to be.
    pub fn finish(&mut self, rules: CallRules<'_>) -> Result<(), MessageFault> {
        self.scanner.finish(&mut Watch { facts: &mut self.facts, rules })?;
        self.facts.fault(rules).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
