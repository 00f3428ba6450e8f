//! Spans of the slave: of calls where they run, and of what belongs to no call. Must not know links or processes.

mod call;
mod start;

pub(crate) use call::{BackendRequest, BackendSpan, CallTrace};
pub(crate) use start::{BackendStart, LinkStart};
