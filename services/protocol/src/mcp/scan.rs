//! Incremental scanner of JSON: checks that bytes which come in pieces are exactly one JSON value (RFC 8259) on one line. Must not know
//! what the value means.
//!
//! The scanner allocates nothing: nesting is a stack of bits of fixed size, and a piece may end anywhere, also inside an escape, a
//! number or a UTF-8 sequence. Long strings are scanned many bytes at a time. Differences from RFC 8259: the nesting is limited to
//! [`MAX_DEPTH`](crate::mcp::depth::MAX_DEPTH), and line breaks between tokens are refused (docs/PROTOCOL.md, section 6). An escape of half a surrogate pair is
//! taken, as RFC 8259 takes it.

mod escape;
mod fault;
mod nesting;
mod number;
mod observer;
mod state;
mod string;
mod utf8;

pub use fault::ScanFault;
pub use observer::{Observer, Unobserved, ValueKind};
pub use state::Scanner;

use number::NumberState;
use state::State;

impl Scanner {
    /// Takes the next piece. After a fault the scanner must not be used any more.
    ///
    /// # Errors
    /// What the piece shows to be wrong. Text that only ends too early is found by [`Scanner::finish`].
    pub fn feed(&mut self, piece: &[u8], observer: &mut impl Observer) -> Result<(), ScanFault> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            self.at = at;
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
        self.at = at;
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
            self.end_value(self.at, observer);
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
            observer.begin(depth, kind, self.at);
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
        self.string_at = self.at + 1;
        self.state = State::String;
    }

    fn close(&mut self, observer: &mut impl Observer) {
        self.nesting.close();
        self.end_value(self.at + 1, observer);
    }

    fn end_value(&mut self, end: usize, observer: &mut impl Observer) {
        self.state = State::AfterValue;
        let depth = self.nesting.depth();
        if observer.watches(depth) {
            observer.end_value(depth, end);
        }
    }

    fn literal(
        &mut self,
        rest: &'static [u8],
        byte: u8,
        observer: &mut impl Observer,
    ) -> Result<(), ScanFault> {
        match rest {
            [next] if *next == byte => self.end_value(self.at + 1, observer),
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
            self.end_value(self.at + length, observer);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
