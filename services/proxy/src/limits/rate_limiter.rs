//! How fast one slave may get calls. Knows no slave.

use std::time::Instant;

use governor::DefaultDirectRateLimiter;
use governor::clock::{Clock, DefaultClock};

use crate::limits::rate::Rate;

/// A rate limit and what of it is used.
pub(crate) struct Pace {
    rate: Rate,
    limiter: DefaultDirectRateLimiter,
}

impl Pace {
    /// A limit that nothing of is used.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, limiter: DefaultDirectRateLimiter::direct(rate.quota()) }
    }

    /// The limit.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Uses one call of it, or says when there will be one.
    pub(crate) fn take(&self) -> Option<Instant> {
        let refused = self.limiter.check().err()?;
        Some(Instant::now() + refused.wait_time_from(DefaultClock::default().now()))
    }
}
