//! The side that calls come from: which slaves offer what, which one takes a call, and the call's answer.
//!
//! Must not know how a link carries frames.

mod calls;
mod directory;
mod health;
mod names;
mod repeat;
mod stream;

pub(crate) use calls::{CallTimes, Dispatcher, Policies};
pub(crate) use repeat::Repeat;
