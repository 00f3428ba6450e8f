//! Rate limits: the rates that operators configure and the limiters that enforce them. Must not know links.

pub(crate) mod rate;
pub(crate) mod rate_limiter;
