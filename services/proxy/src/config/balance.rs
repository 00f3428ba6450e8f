//! The variables of queues and limits. Knows nothing of what the values are used for.

use std::time::Duration;

use runtime::env::Fallback::{Says, Value};
use runtime::env::Group::Proxy;
use runtime::env::{Reader, Var, parse};
use serde::Deserialize;

use crate::limits::queue::{MAX_QUEUE_LENGTH, MAX_QUEUE_TIMEOUT};
use crate::limits::rate::Rate;

/// Queues and rate limits.
#[rustfmt::skip]
pub const VARIABLES: &[Var] = &[
    Var::new(Proxy, "QUEUE_MAX", Value("1000"), "Calls of one tool that may wait while all its slaves are full; 0: none waits. pools: in ROUTES overrides it."),
    Var::new(Proxy, "QUEUE_TIMEOUT", Value("10"), "Seconds that a call may wait for a slave with room; then it fails as busy. pools: in ROUTES overrides it."),
    Var::new(Proxy, "RATE_LIMIT_CLIENT", Says("no limit"), "Calls of each client (key, or address where no keys are set), for example 50/s, 600/m or 50/s:100 with a burst of 100. limits: in ROUTES overrides it."),
    Var::new(Proxy, "RATE_LIMIT_TOOL", Says("no limit"), "Calls of each tool, over all clients; the form is that of RATE_LIMIT_CLIENT."),
    Var::new(Proxy, "RATE_LIMIT_SLAVE", Says("no limit"), "Calls to each slave; further ones go to other slaves or wait. The form is that of RATE_LIMIT_CLIENT."),
];

/// How many calls of a pool may wait, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// `QUEUE_MAX`: calls of one tool.
    pub most: usize,
    /// `QUEUE_TIMEOUT`.
    pub longest: Duration,
}

/// What holds where the `ROUTES` file says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceConfig {
    /// `QUEUE_MAX`, `QUEUE_TIMEOUT`.
    pub queue: QueueLimits,
    /// `RATE_LIMIT_CLIENT`.
    pub client: Option<Rate>,
    /// `RATE_LIMIT_TOOL`.
    pub tool: Option<Rate>,
    /// `RATE_LIMIT_SLAVE`.
    pub slave: Option<Rate>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    queue_max: Option<String>,
    queue_timeout: Option<String>,
    rate_limit_client: Option<String>,
    rate_limit_tool: Option<String>,
    rate_limit_slave: Option<String>,
}

impl BalanceConfig {
    /// Room for a thousand calls for ten seconds, and no rate limits.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let queue = QueueLimits { most: 1000, longest: Duration::from_secs(10) };
        Self { queue, client: None, tool: None, slave: None }
    }

    /// Reads and checks the variables; what is wrong is noted.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let raw: Raw = reader.fill();
        let most = parse::whole(0..=MAX_QUEUE_LENGTH, "calls");
        let queue = QueueLimits {
            most: reader.value("QUEUE_MAX", raw.queue_max.as_deref(), most),
            longest: reader.value(
                "QUEUE_TIMEOUT",
                raw.queue_timeout.as_deref(),
                parse::seconds(0.01..=MAX_QUEUE_TIMEOUT),
            ),
        };
        Self {
            queue,
            client: reader.optional("RATE_LIMIT_CLIENT", raw.rate_limit_client.as_deref(), Rate::parse),
            tool: reader.optional("RATE_LIMIT_TOOL", raw.rate_limit_tool.as_deref(), Rate::parse),
            slave: reader.optional("RATE_LIMIT_SLAVE", raw.rate_limit_slave.as_deref(), Rate::parse),
        }
    }
}
