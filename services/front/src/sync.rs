//! Atomics of the lock-free code. Such code takes them from here, so that a test can put those of a model checker in
//! their place (`tests/tests/loom_repoll.rs`).

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
