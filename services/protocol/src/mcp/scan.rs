//! Incremental scanner of JSON: checks that bytes which come in pieces are exactly one JSON value (RFC 8259) on one line. Must not know
//! what the value means.
//!
//! The scanner allocates nothing: nesting is a stack of bits of fixed size, and a piece may end anywhere, also inside an escape, a
//! number or a UTF-8 sequence. Long strings are scanned many bytes at a time. Differences from RFC 8259: the nesting is limited to
//! [`MAX_DEPTH`], and line breaks between tokens are refused (docs/PROTOCOL.md, section 6). An escape of half a surrogate pair is
//! taken, as RFC 8259 takes it.

mod escape;
mod nesting;
mod number;
mod observer;
mod string;

pub use observer::{Observer, Unobserved, ValueKind};

use escape::Escape;
use nesting::Nesting;
use number::NumberState;
use string::Utf8Tail;

use crate::mcp::depth::MAX_DEPTH;

/// Why bytes are not one JSON value on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanFault {
    /// A byte that JSON does not allow where it stands, or a second value.
    #[error("it is not one JSON value")]
    Syntax,
    /// The bytes end before the value does.
    #[error("it ends in the middle of a JSON value")]
    Truncated,
    /// More arrays and objects open at once than [`MAX_DEPTH`].
    #[error("its JSON is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A string is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A line break between two tokens.
    #[error("it has a line break between its tokens")]
    LineBreak,
}

/// What the next byte may be.
#[derive(Clone, Copy, Debug)]
enum State {
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
    state: State,
    nesting: Nesting,
    /// The string under way is a key.
    is_key: bool,
    /// The observer gets the string or number under way.
    observed: bool,
    utf8: Utf8Tail,
    /// High surrogate of an escape that awaits its low one; 0: none.
    high: u16,
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
            high: 0,
        }
    }

    /// Takes the next piece. After a fault the scanner must not be used any more.
    ///
    /// # Errors
    /// What the piece shows to be wrong. Text that only ends too early is found by [`Scanner::finish`].
    pub fn feed(&mut self, piece: &[u8], observer: &mut impl Observer) -> Result<(), ScanFault> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            at += match self.state {
                State::String => self.string(&piece[at..], observer)?,
                State::Number(state) => self.number(state, &piece[at..], observer)?,
                State::Escape(escape) => {
                    self.escape(escape, byte, observer)?;
                    1
                }
                State::Literal(rest) => {
                    self.literal(rest, byte, observer)?;
                    1
                }
                _ => {
                    self.token(byte, observer)?;
                    1
                }
            };
        }
        Ok(())
    }

    /// Ends the text.
    ///
    /// # Errors
    /// The value is not complete.
    pub fn finish(&mut self, observer: &mut impl Observer) -> Result<(), ScanFault> {
        if let State::Number(state) = self.state {
            if !state.may_end() {
                return Err(ScanFault::Truncated);
            }
            self.end_value(observer);
        }
        let is_whole = matches!(self.state, State::AfterValue) && self.nesting.depth() == 0;
        if is_whole { Ok(()) } else { Err(ScanFault::Truncated) }
    }

    /// Takes one byte between scalars.
    fn token(&mut self, byte: u8, observer: &mut impl Observer) -> Result<(), ScanFault> {
        match (self.state, byte) {
            (_, b' ' | b'\t') => {}
            (_, b'\n' | b'\r') => return Err(ScanFault::LineBreak),
            (State::AfterValue, b',') if self.nesting.depth() > 0 => {
                self.state = if self.nesting.in_object() { State::Key } else { State::Value };
            }
            (State::AfterValue | State::FirstKey, b'}') if self.nesting.in_object() => self.close(observer),
            (State::AfterValue | State::FirstElement, b']') if self.nesting.in_array() => {
                self.close(observer);
            }
            (State::FirstKey | State::Key, b'"') => {
                self.is_key = true;
                self.begin_string(observer);
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::Value | State::FirstElement, _) => self.begin_value(byte, observer)?,
            _ => return Err(ScanFault::Syntax),
        }
        Ok(())
    }

    fn begin_value(&mut self, byte: u8, observer: &mut impl Observer) -> Result<(), ScanFault> {
        let depth = self.nesting.depth();
        let kind = match byte {
            b'"' => ValueKind::String,
            b'{' => ValueKind::Object,
            b'[' => ValueKind::Array,
            b't' | b'f' | b'n' => ValueKind::Literal,
            _ => ValueKind::Number,
        };
        if observer.watches(depth) {
            observer.begin(depth, kind);
        }
        match byte {
            b'"' => {
                self.is_key = false;
                self.begin_string(observer);
            }
            b'{' => {
                self.nesting.open_object()?;
                self.state = State::FirstKey;
            }
            b'[' => {
                self.nesting.open_array()?;
                self.state = State::FirstElement;
            }
            b't' => self.state = State::Literal(b"rue"),
            b'f' => self.state = State::Literal(b"alse"),
            b'n' => self.state = State::Literal(b"ull"),
            _ => {
                self.state = State::Number(NumberState::first(byte).ok_or(ScanFault::Syntax)?);
                self.observed = observer.watches(depth);
                if self.observed {
                    observer.text(&[byte]);
                }
            }
        }
        Ok(())
    }

    fn begin_string(&mut self, observer: &mut impl Observer) {
        self.observed = observer.watches(self.nesting.depth());
        self.state = State::String;
    }

    fn close(&mut self, observer: &mut impl Observer) {
        self.nesting.close();
        self.end_value(observer);
    }

    fn end_value(&mut self, observer: &mut impl Observer) {
        self.state = State::AfterValue;
        let depth = self.nesting.depth();
        if observer.watches(depth) {
            observer.end_value(depth);
        }
    }

    fn literal(
        &mut self,
        rest: &'static [u8],
        byte: u8,
        observer: &mut impl Observer,
    ) -> Result<(), ScanFault> {
        match rest {
            [next] if *next == byte => self.end_value(observer),
            [next, rest @ ..] if *next == byte => self.state = State::Literal(rest),
            _ => return Err(ScanFault::Syntax),
        }
        Ok(())
    }

    fn number(
        &mut self,
        mut state: NumberState,
        piece: &[u8],
        observer: &mut impl Observer,
    ) -> Result<usize, ScanFault> {
        let mut length = 0;
        while let Some(next) = piece.get(length).and_then(|&byte| state.next(byte)) {
            state = next;
            length += 1;
        }
        if self.observed {
            observer.text(&piece[..length]);
        }
        self.state = State::Number(state);
        if length < piece.len() {
            if !state.may_end() {
                return Err(ScanFault::Syntax);
            }
            self.end_value(observer);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
