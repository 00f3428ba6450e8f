//! The reasons for which limits and queues refuse calls, as values of a label. Must not know what counts them.

/// The reason that a call was refused or had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// The client's rate limit.
    ClientLimit,
    /// The tool's rate limit.
    ToolLimit,
    /// A quota of the policy.
    Quota,
    /// The rate limits of the slaves. The call waits.
    SlaveLimit,
    /// `QUEUE_MAX` calls wait already.
    QueueFull,
    /// The call waited for `QUEUE_TIMEOUT` and no slave became free.
    QueueTimeout,
}

impl RefusalReason {
    /// The names of all reasons.
    pub(super) const LABELS: [&'static str; 6] = [
        Self::ClientLimit.label(),
        Self::ToolLimit.label(),
        Self::Quota.label(),
        Self::SlaveLimit.label(),
        Self::QueueFull.label(),
        Self::QueueTimeout.label(),
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::ClientLimit => "rate_limited_client",
            Self::ToolLimit => "rate_limited_tool",
            Self::Quota => "quota",
            Self::SlaveLimit => "rate_limited_slave_wait",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }
}
