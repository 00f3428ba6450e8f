//! Counters of a state machine, for whoever exports them. Must not know exporters.

/// Events since the counters were taken last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Messages of which a part had to wait for the peer's credit.
    pub stalls: u64,
    /// Calls that went on over a new link (`attach`).
    pub resumed: u64,
    /// Calls that the slave no longer had when the proxy attached to them.
    pub gone: u64,
}

impl LinkStats {
    /// Takes the counters and sets them to zero; `None` if all are zero.
    pub fn take(&mut self) -> Option<Self> {
        if *self == Self::default() { None } else { Some(std::mem::take(self)) }
    }
}
