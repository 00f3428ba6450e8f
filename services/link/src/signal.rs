//! A wake-up that is not lost: a flag with the waker of the one task that reads it. Must not know what it announces.
//!
//! Lock-free; `tests/tests/loom_signal.rs` checks every interleaving of a raise with a take.

use std::task::Context;

use crate::sync::{AtomicBool, AtomicWaker, Ordering};

/// A flag that wakes one task, and stays set until the task takes it.
///
/// Any number of threads may raise the signal; one task takes it.
pub struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    /// Creates a signal that is not raised.
    pub fn new() -> Self {
        Self { raised: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    /// Raises the signal and wakes the task that took it last. Writes before the raise are visible to the task that
    /// takes the signal.
    pub fn raise(&self) {
        // A swap, not a store: the taker synchronises with every thread that has raised, not only with the last one.
        self.raised.swap(true, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Returns whether the signal was raised since the last call, and registers the task to be woken by the next raise.
    pub fn take(&self, cx: &Context<'_>) -> bool {
        // In this order: a raise in between finds the waker, or leaves the flag to be seen here.
        self.waker.register(cx.waker());
        self.raised.swap(false, Ordering::AcqRel)
    }
}
