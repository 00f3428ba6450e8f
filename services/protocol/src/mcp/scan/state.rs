//! State of a scanner between two bytes. Must not know how bytes change it.

use crate::mcp::scan::nesting::Nesting;
use crate::mcp::scan::number::NumberState;
use crate::mcp::scan::utf8::Utf8Tail;

/// Part of an escape that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// The byte after the backslash.
    Kind,
    /// A hex digit of `\u`; `left` more, this one included.
    Digit { left: u8, unit: u16 },
}

/// What the next byte may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Value,
    /// First element of an array, or its end.
    FirstElement,
    /// First key of an object, or its end.
    FirstKey,
    Key,
    Colon,
    AfterValue,
    /// Inside a string.
    String,
    Escape(Escape),
    Number(NumberState),
    /// Rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
}

/// Scanner of one JSON value.
#[derive(Debug)]
pub struct Scanner {
    pub(super) state: State,
    pub(super) nesting: Nesting,
    /// The string under way is a key.
    pub(super) is_key: bool,
    /// The observer gets the string or number under way.
    pub(super) observed: bool,
    pub(super) utf8: Utf8Tail,
    /// Position in the piece at hand.
    pub(super) at: usize,
    /// Position of the string under way, behind its quote.
    pub(super) string_at: usize,
    /// High surrogate of an escape that awaits its low one; 0: none.
    pub(super) high: u16,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Makes a scanner that has seen nothing.
    pub const fn new() -> Self {
        Self {
            state: State::Value,
            nesting: Nesting::new(),
            is_key: false,
            observed: false,
            utf8: Utf8Tail::new(),
            at: 0,
            string_at: 0,
            high: 0,
        }
    }
}
