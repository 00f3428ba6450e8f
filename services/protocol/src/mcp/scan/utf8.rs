//! UTF-8 of strings, also where a piece cuts a sequence. Must not know JSON.

use crate::mcp::scan::fault::ScanFault;

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

    /// Returns whether a sequence awaits its rest.
    pub(super) fn is_cut(&self) -> bool {
        self.length > 0
    }

    /// Checks text that ends with its piece or at a byte that belongs to no sequence; keeps the sequence that the piece cuts.
    pub(super) fn check(&mut self, text: &[u8], end: RunEnd) -> Result<(), ScanFault> {
        let Err(error) = simdutf8::compat::from_utf8(text) else { return Ok(()) };
        let tail = &text[error.valid_up_to()..];
        if error.error_len().is_some() || end == RunEnd::WithinPiece {
            return Err(ScanFault::NotUtf8);
        }
        self.length = tail.len();
        self.bytes[..tail.len()].copy_from_slice(tail);
        Ok(())
    }

    /// Adds bytes to the sequence that was cut. Returns how many belong to it.
    pub(super) fn complete(&mut self, piece: &[u8]) -> Result<usize, ScanFault> {
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
pub(super) enum RunEnd {
    OfPiece,
    WithinPiece,
}
