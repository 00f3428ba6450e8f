//! The bytes that are kept of all calls together. Must not know calls.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts of the size that one call may have: the others' calls keep the rest.
pub(super) const CALL_SHARE: usize = 4;

/// Bytes that are kept, and how many may be.
pub(super) struct Totals {
    bytes: AtomicUsize,
    most: usize,
}

impl Totals {
    /// Returns the totals of nothing; at most `most` bytes may be kept.
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), most }
    }

    /// Returns the bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a call that keeps this much is to give way.
    pub(super) fn is_over(&self, of_call: usize) -> bool {
        of_call > self.most / CALL_SHARE || self.bytes.load(Ordering::Relaxed) > self.most
    }
}
