//! The state of a slave as operators see it. Must not know what leads from one state to another.

/// State of a slave. docs/operate/health.md, "States of a slave", describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlaveState {
    /// Linked, but has not offered a tool yet.
    Connecting,
    /// Takes calls.
    Ready,
    /// Takes calls that no ready slave can take.
    Degraded,
    /// Linked, but takes no new calls.
    Draining,
    /// Its link is down, and its calls wait for it to come back.
    Lost,
}

impl SlaveState {
    /// All states, in the order of their discriminants.
    pub(crate) const ALL: [Self; 5] =
        [Self::Connecting, Self::Ready, Self::Degraded, Self::Draining, Self::Lost];

    /// The names of all states, in the same order.
    pub(crate) const LABELS: [&'static str; 5] = [
        Self::Connecting.label(),
        Self::Ready.label(),
        Self::Degraded.label(),
        Self::Draining.label(),
        Self::Lost.label(),
    ];

    /// Returns the stable name of the state, as metrics and the API have it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Lost => "lost",
        }
    }
}
