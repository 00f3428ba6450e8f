//! What a state machine counts of itself, for whoever exports it. Knows no exporter.

/// Events since they were asked for last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Times that a message had to wait for the peer's credit with some of it unsent.
    pub stalls: u64,
    /// Calls that went on over a new link (`attach`).
    pub resumed: u64,
    /// Calls that the slave had no more when it was asked for them.
    pub gone: u64,
}

impl LinkStats {
    /// What there is, if there is anything; it counts anew from then on.
    pub fn take(&mut self) -> Option<Self> {
        if *self == Self::default() { None } else { Some(std::mem::take(self)) }
    }
}
