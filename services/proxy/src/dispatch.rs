//! The side that calls come from: which slaves offer what, which one takes a call, and the call's answer.
//!
//! Must not know how a link carries frames.

mod balance;
mod calls;
mod choose;
mod client;
mod directory;
mod health;
mod host;
mod limits;
mod look;
mod names;
mod open_call;
mod queue;
mod repeat;
mod send;
mod stream;

pub(crate) use calls::{CallTimes, Dispatcher, Policies};
pub(crate) use repeat::Repeat;
