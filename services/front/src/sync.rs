//! Atomics of the lock-free code, re-exported in one place, so that a test can substitute those of a model checker
//! (`tests/tests/loom_repoll.rs`). Must not define any.

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
