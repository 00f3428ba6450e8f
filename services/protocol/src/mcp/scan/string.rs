//! Content of strings: plain text in long runs. Must not know escapes.

use memchr::memchr2;
use wide::u8x16;

use crate::mcp::scan::fault::ScanFault;
use crate::mcp::scan::observer::Observer;
use crate::mcp::scan::state::{Escape, Scanner, State};
use crate::mcp::scan::utf8::RunEnd;

/// Bytes that are looked at word by word before a string counts as long: the fast search pays only from here on.
const SHORT: usize = 64;

/// Bytes that are compared without a branch.
const BLOCK: usize = 128;

/// The last control character.
const LAST_CONTROL: u8 = 0x1f;

/// A word whose bytes are all 1.
const EACH: u64 = u64::MAX / 0xff;

/// A word of whose bytes only the highest bit is set.
const HIGH: u64 = EACH * 0x80;

/// Text at the beginning of a piece, before a quote, a backslash or a control character.
struct Run {
    length: usize,
    is_ascii: bool,
}

impl Run {
    fn of(piece: &[u8]) -> Self {
        let mut run = Self { length: 0, is_ascii: true };
        let head = &piece[..piece.len().min(SHORT)];
        let (words, rest) = head.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            if let Some(special) = first_special(word) {
                let text = word & ((1 << (8 * special)) - 1);
                run.add(special, text & HIGH == 0);
                return run;
            }
            run.add(8, word & HIGH == 0);
        }
        if piece.len() <= SHORT {
            run.add_bytes(rest);
            return run;
        }
        let rest = &piece[SHORT..];
        run.add_before_control(&rest[..memchr2(b'"', b'\\', rest).unwrap_or(rest.len())]);
        run
    }

    fn add(&mut self, length: usize, is_ascii: bool) {
        self.length += length;
        self.is_ascii &= is_ascii;
    }

    /// Adds what is before the first special byte.
    fn add_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().take_while(|&&byte| !is_special(byte)) {
            self.add(1, byte.is_ascii());
        }
    }

    /// Adds what is before the first control character of a text without other special bytes.
    fn add_before_control(&mut self, text: &[u8]) {
        let (blocks, _) = text.as_chunks::<BLOCK>();
        let before = self.length;
        for block in blocks {
            let block = Block::of(block);
            if block.has_control {
                break;
            }
            self.add(BLOCK, block.is_ascii);
        }
        self.add_bytes(&text[self.length - before..]);
    }
}

/// What the bytes of a block of text are.
struct Block {
    has_control: bool,
    is_ascii: bool,
}

impl Block {
    /// Looks at 16 bytes with each instruction, which every processor of the targets has.
    fn of(block: &[u8; BLOCK]) -> Self {
        let (mut least, mut bits) = (u8x16::splat(u8::MAX), u8x16::splat(0));
        for lanes in block.as_chunks::<16>().0 {
            let lanes = u8x16::from(*lanes);
            least = least.min(lanes);
            bits |= lanes;
        }
        let has_control = least.min(u8x16::splat(LAST_CONTROL)).simd_eq(least).any();
        Self { has_control, is_ascii: bits.to_bitmask() == 0 }
    }
}

fn is_special(byte: u8) -> bool {
    byte <= LAST_CONTROL || byte == b'"' || byte == b'\\'
}

/// Returns the position of the first special byte of a word in little-endian order.
fn first_special(word: u64) -> Option<usize> {
    let quote = less_than(word ^ (EACH * u64::from(b'"')), 1);
    let backslash = less_than(word ^ (EACH * u64::from(b'\\')), 1);
    let found = less_than(word, 0x20) | quote | backslash;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Sets the highest bit of the first byte that is less than `bound` (at most 0x80), and perhaps of bytes after it; 0 where none is.
fn less_than(word: u64, bound: u64) -> u64 {
    word.wrapping_sub(EACH * bound) & !word & HIGH
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
            Some(b'"') => self.end_string(self.at + run.length, observer),
            Some(b'\\') => self.state = State::Escape(Escape::Kind),
            Some(_) => return Err(ScanFault::Syntax),
        }
        Ok(run.length + 1)
    }

    /// Ends the string whose closing quote is at this position.
    fn end_string(&mut self, quote: usize, observer: &mut impl Observer) {
        self.flush_high(observer);
        if !self.is_key {
            return self.end_value(quote + 1, observer);
        }
        self.state = State::Colon;
        if self.observed {
            observer.end_key(self.nesting.depth(), self.string_at..quote);
        }
    }

    fn report(&mut self, text: &[u8], observer: &mut impl Observer) {
        if self.observed && !text.is_empty() {
            self.flush_high(observer);
            observer.text(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Run::of`] says, one byte at a time.
    fn slowly(piece: &[u8]) -> (usize, bool) {
        let text: Vec<u8> = piece.iter().copied().take_while(|&byte| !is_special(byte)).collect();
        (text.len(), text.is_ascii())
    }

    #[test]
    fn a_run_ends_at_the_first_special_byte_wherever_it_stands() {
        for length in [0, 1, 63, 64, 65, 191, 192, 193, 300, 2 * BLOCK + SHORT + 1] {
            for special in [b'"', b'\\', 0, 0x1f, b'\n', 0x20, 0x7f, 0x80, 0xff] {
                for at in 0..length {
                    let mut piece = vec![b'a'; length];
                    piece[at] = special;
                    // What follows the end of the run is no part of it.
                    piece.extend("é\"\n".bytes());
                    let run = Run::of(&piece);
                    assert_eq!((run.length, run.is_ascii), slowly(&piece), "{special} at {at} of {length}");
                }
            }
        }
    }
}
