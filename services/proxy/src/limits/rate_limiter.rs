//! A rate limit in force, and how much of it is used. Must not know what is limited.

use std::time::Instant;

use governor::DefaultDirectRateLimiter;
use governor::clock::{Clock, DefaultClock};

use super::quota::quota;
use crate::config::Rate;

/// A limiter of the rate of calls (GCRA).
pub(crate) struct RateLimiter {
    rate: Rate,
    limiter: DefaultDirectRateLimiter,
}

impl RateLimiter {
    /// A limiter of which nothing is used yet.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, limiter: DefaultDirectRateLimiter::direct(quota(rate)) }
    }

    /// Returns the configured rate.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Uses one call of the limit and returns `None`; if there is none left, returns when there will be one.
    pub(crate) fn take(&self) -> Option<Instant> {
        let refused = self.limiter.check().err()?;
        Some(Instant::now() + refused.wait_time_from(DefaultClock::default().now()))
    }
}
