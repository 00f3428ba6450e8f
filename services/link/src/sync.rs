//! The primitives of lock-free code in this crate, in one place so that a `loom` model can replace them. Must not know
//! the code that uses them.

pub(crate) use futures_util::task::AtomicWaker;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
