//! Atomics of the lock-free parts, in one module: `tests/tests/loom_load.rs` builds those parts with loom's in its place.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
