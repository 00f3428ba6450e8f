//! Rates of the configuration as quotas of the `governor` crate. Must not know what is limited.

use std::num::NonZeroU32;

use governor::Quota;

use crate::config::Rate;

/// Returns the quota of a rate: its burst, and the interval after which one more call is allowed.
pub(crate) fn quota(rate: Rate) -> Quota {
    // An interval of a rate is never zero.
    Quota::with_period(rate.interval())
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(rate.burst())
}
