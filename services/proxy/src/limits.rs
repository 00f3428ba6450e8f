//! Limits of how many and how fast calls may come: rates and the limiters that enforce them, and bounds of the wait
//! queues. Must not know links.

pub(crate) mod client;
pub(crate) mod keyed;
pub(crate) mod queue;
pub(crate) mod rate;
pub(crate) mod rate_limiter;
pub(crate) mod table;
