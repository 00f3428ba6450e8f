//! Content of strings: plain text in long runs, and UTF-8 sequences that a piece cuts. Must not know escapes.

use memchr::memchr2;

use crate::mcp::scan::escape::Escape;
use crate::mcp::scan::{Observer, ScanFault, Scanner, State};

/// Bytes that are looked at one by one before a string counts as long: the fast search pays only from here on.
const SHORT: usize = 32;

/// Beginning of a UTF-8 sequence whose rest is in the next piece.
#[derive(Debug)]
pub(super) struct Utf8Tail {
    bytes: [u8; 4],
    length: usize,
}

impl Utf8Tail {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 4], length: 0 }
    }

    /// Checks text that ends with its piece or at a byte that belongs to no sequence; keeps the sequence that the piece cuts.
    fn check(&mut self, text: &[u8], cut: Cut) -> Result<(), ScanFault> {
        let Err(error) = std::str::from_utf8(text) else { return Ok(()) };
        let tail = &text[error.valid_up_to()..];
        if error.error_len().is_some() || cut == Cut::No {
            return Err(ScanFault::NotUtf8);
        }
        self.length = tail.len();
        self.bytes[..tail.len()].copy_from_slice(tail);
        Ok(())
    }

    /// Adds bytes to the sequence that was cut. Returns how many belong to it.
    fn complete(&mut self, piece: &[u8]) -> Result<usize, ScanFault> {
        for (index, &byte) in piece.iter().enumerate() {
            *self.bytes.get_mut(self.length).ok_or(ScanFault::NotUtf8)? = byte;
            self.length += 1;
            match std::str::from_utf8(&self.bytes[..self.length]) {
                Ok(_) => {
                    self.length = 0;
                    return Ok(index + 1);
                }
                Err(error) if error.error_len().is_some() => return Err(ScanFault::NotUtf8),
                Err(_) => {}
            }
        }
        Ok(piece.len())
    }
}

/// Whether a text ends because its piece does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Yes,
    No,
}

/// Text at the beginning of a piece, before a quote, a backslash or a control character.
struct Run {
    length: usize,
    is_ascii: bool,
}

impl Run {
    fn of(piece: &[u8]) -> Self {
        let head = &piece[..piece.len().min(SHORT)];
        let mut all = 0;
        for (index, &byte) in head.iter().enumerate() {
            if is_special(byte) {
                return Self { length: index, is_ascii: all < 0x80 };
            }
            all |= byte;
        }
        let rest = &piece[head.len()..];
        let rest = &rest[..memchr2(b'"', b'\\', rest).unwrap_or(rest.len())];
        // Without a branch in the loop the compiler compares many bytes at once.
        let has_control = rest.iter().fold(0, |found, &byte| found | u8::from(byte < 0x20)) != 0;
        let length =
            if has_control { rest.iter().take_while(|&&byte| byte >= 0x20).count() } else { rest.len() };
        Self { length: head.len() + length, is_ascii: all < 0x80 && rest.is_ascii() }
    }
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl Scanner {
    /// Takes content of a string, or its end. Returns the number of bytes taken.
    pub(super) fn string(&mut self, piece: &[u8], observer: &mut impl Observer) -> Result<usize, ScanFault> {
        if self.utf8.length > 0 {
            let taken = self.utf8.complete(piece)?;
            self.report(&piece[..taken], observer);
            return Ok(taken);
        }
        let run = Run::of(piece);
        let (text, rest) = piece.split_at(run.length);
        if !run.is_ascii {
            self.utf8.check(text, if rest.is_empty() { Cut::Yes } else { Cut::No })?;
        }
        self.report(text, observer);
        match rest.first() {
            None => return Ok(run.length),
            Some(b'"') => self.end_string(observer),
            Some(b'\\') => self.state = State::Escape(Escape::Kind),
            Some(_) => return Err(ScanFault::Syntax),
        }
        Ok(run.length + 1)
    }

    fn end_string(&mut self, observer: &mut impl Observer) {
        self.flush_high(observer);
        if !self.is_key {
            return self.end_value(observer);
        }
        self.state = State::Colon;
        if self.observed {
            observer.end_key(self.nesting.depth());
        }
    }

    fn report(&mut self, text: &[u8], observer: &mut impl Observer) {
        if self.observed && !text.is_empty() {
            self.flush_high(observer);
            observer.text(text);
        }
    }
}
