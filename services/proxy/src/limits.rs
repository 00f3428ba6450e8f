//! Rate limits of calls: quotas, limiters per client and tool, and the limiter of a slave. Must not know links.

pub(crate) mod client;
pub(crate) mod day_quotas;
pub(crate) mod keyed;
mod quota;
pub(crate) mod rate_limiter;
pub(crate) mod table;
