//! Stack of the arrays and objects that are open, one bit each. Must not know what they hold.

use crate::mcp::depth::MAX_DEPTH;
use crate::mcp::scan::fault::ScanFault;

const WORD: usize = u64::BITS as usize;

/// Open arrays (0) and objects (1), from the outside in.
#[derive(Debug)]
pub(super) struct Nesting {
    objects: [u64; MAX_DEPTH.div_ceil(WORD)],
    depth: usize,
}

impl Nesting {
    pub(super) const fn new() -> Self {
        Self { objects: [0; MAX_DEPTH.div_ceil(WORD)], depth: 0 }
    }

    /// Returns the number of open arrays and objects.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn open_object(&mut self) -> Result<(), ScanFault> {
        *self.next_word()? |= 1 << (self.depth % WORD);
        self.depth += 1;
        Ok(())
    }

    pub(super) fn open_array(&mut self) -> Result<(), ScanFault> {
        *self.next_word()? &= !(1 << (self.depth % WORD));
        self.depth += 1;
        Ok(())
    }

    fn next_word(&mut self) -> Result<&mut u64, ScanFault> {
        if self.depth == MAX_DEPTH {
            return Err(ScanFault::TooDeep);
        }
        Ok(&mut self.objects[self.depth / WORD])
    }

    /// Closes the innermost; the caller has seen that there is one.
    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Returns whether the innermost is an object.
    pub(super) fn in_object(&self) -> bool {
        self.depth > 0 && self.innermost()
    }

    /// Returns whether the innermost is an array.
    pub(super) fn in_array(&self) -> bool {
        self.depth > 0 && !self.innermost()
    }

    fn innermost(&self) -> bool {
        let index = self.depth - 1;
        self.objects[index / WORD] >> (index % WORD) & 1 == 1
    }
}
