//! The variables of queues and rate limits. Must not know what the values are used for.

use std::time::Duration;

use runtime::env::{Reader, parse};

use super::rate::Rate;

runtime::variables! {
    /// The variables of queues and rate limits.
    pub const VARIABLES: Proxy;
    /// Texts of [`VARIABLES`].
    struct Settings;
    queue_max = Value("1000"), "Calls of one tool that may wait while all its slaves are full; 0: no call waits. pools: in ROUTES overrides it.";
    queue_timeout = Value("10"), "Seconds that a call may wait for a slave with free capacity; then it fails as busy. pools: in ROUTES overrides it.";
    rate_limit_client = Says("no limit"), "Calls of each client (key, or address where no keys are set), for example 50/s, 600/m or 50/s:100 with a burst of 100. limits: in ROUTES overrides it.";
    rate_limit_tool = Says("no limit"), "Calls of each tool, over all clients; written like RATE_LIMIT_CLIENT.";
    rate_limit_slave = Says("no limit"), "Calls to each slave; further ones go to other slaves or wait. Written like RATE_LIMIT_CLIENT.";
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// `QUEUE_MAX`: calls of one tool that may wait.
    pub most: usize,
    /// `QUEUE_TIMEOUT`: longest wait of a call.
    pub longest: Duration,
}

/// The limits that apply where the `ROUTES` file sets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceConfig {
    /// `QUEUE_MAX`, `QUEUE_TIMEOUT`: the limits of queues.
    pub queue: QueueLimits,
    /// `RATE_LIMIT_CLIENT`: the rate limit of each client.
    pub client: Option<Rate>,
    /// `RATE_LIMIT_TOOL`: the rate limit of each tool.
    pub tool: Option<Rate>,
    /// `RATE_LIMIT_SLAVE`: the rate limit of each slave.
    pub slave: Option<Rate>,
}

/// Largest number of calls of one tool that may be allowed to wait.
pub(crate) const MAX_QUEUE_LENGTH: usize = 1_000_000;

/// Longest time that a call may be allowed to wait, in seconds.
pub(crate) const MAX_QUEUE_TIMEOUT: f64 = 3600.0;

impl BalanceConfig {
    /// Returns queues of a thousand calls for ten seconds, and no rate limits.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let queue = QueueLimits { most: 1000, longest: Duration::from_secs(10) };
        Self { queue, client: None, tool: None, slave: None }
    }

    /// Reads and checks the variables; problems stay in the reader.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Settings::read(reader);
        Self {
            queue: QueueLimits {
                most: reader.value(&settings.queue_max, parse::whole(0..=MAX_QUEUE_LENGTH, "calls")),
                longest: reader.value(&settings.queue_timeout, parse::seconds(0.01..=MAX_QUEUE_TIMEOUT)),
            },
            client: reader.optional(&settings.rate_limit_client, Rate::parse),
            tool: reader.optional(&settings.rate_limit_tool, Rate::parse),
            slave: reader.optional(&settings.rate_limit_slave, Rate::parse),
        }
    }
}
