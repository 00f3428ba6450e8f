//! Content of strings: plain text in long runs. Must not know escapes.

use memchr::memchr2;

use crate::mcp::scan::fault::ScanFault;
use crate::mcp::scan::observer::Observer;
use crate::mcp::scan::state::{Escape, Scanner, State};
use crate::mcp::scan::utf8::RunEnd;

/// Bytes that are looked at one by one before a string counts as long: the fast search pays only from here on.
const SHORT: usize = 32;

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
        if self.utf8.is_cut() {
            let taken = self.utf8.complete(piece)?;
            self.report(&piece[..taken], observer);
            return Ok(taken);
        }
        let run = Run::of(piece);
        let (text, rest) = piece.split_at(run.length);
        if !run.is_ascii {
            self.utf8.check(text, if rest.is_empty() { RunEnd::OfPiece } else { RunEnd::WithinPiece })?;
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
