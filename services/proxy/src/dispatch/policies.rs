//! Settings of the dispatcher. Must not know how they are used.

use std::time::Duration;

use crate::config::EjectionPolicy;
use crate::config::{BalanceConfig, RetryPolicy, ToolConflict};

/// Time limits of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTimes {
    /// `REQUEST_TIMEOUT`: longest time without a sign of life.
    pub(crate) silence: Duration,
    /// `REQUEST_TIMEOUT_TOTAL`: longest time of the whole call.
    pub(crate) total: Duration,
}

/// The operator's settings for tools and their slaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    /// `TOOL_CONFLICT`.
    pub(crate) conflict: ToolConflict,
    /// `EJECT_AFTER`, `EJECT_TIME`.
    pub(crate) ejection: EjectionPolicy,
    /// `RETRY_IDEMPOTENT`.
    pub(crate) retry: RetryPolicy,
    /// Queues and rate limits where the `ROUTES` file has no entry.
    pub(crate) balance: BalanceConfig,
}
