//! The bytes that are kept of all calls together, and of each client's. Must not know calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts of the size that one call may have: the others' calls keep the rest.
const CALL_SHARE: usize = 4;

/// Parts of the size that all calls of one client may have.
const CLIENT_SHARE: usize = 2;

/// Whoever can let calls that have ended give way.
pub(super) trait MakeRoom: Send + Sync {
    /// Makes room for a call of this client: its own ended calls give way where its share is used up, else the oldest of all.
    fn make_room(&self, client: &Arc<ClientTotals>);
}

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

    /// Whether a call is to give way, whosesoever it is.
    pub(super) fn is_over(&self) -> bool {
        self.bytes() > self.most
    }
}

/// Bytes that are kept of one client's calls.
pub(super) struct ClientTotals {
    bytes: AtomicUsize,
    all: Arc<Totals>,
}

impl ClientTotals {
    /// Returns the totals of a client without calls.
    pub(super) fn new(all: Arc<Totals>) -> Self {
        Self { bytes: AtomicUsize::new(0), all }
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.all.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a call of the client is to give way to its others.
    pub(super) fn is_over_share(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.all.most / CLIENT_SHARE
    }

    /// Whether a call of the client that keeps this much is to give way.
    pub(super) fn is_over(&self, of_call: usize) -> bool {
        of_call > self.all.most / CALL_SHARE || self.is_over_share() || self.all.is_over()
    }
}
