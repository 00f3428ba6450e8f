//! The stages of the slave's shutdown, as its links see them. Must not know what a stage changes.

/// A stage of the shutdown. Stages only advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The slave takes calls.
    #[default]
    Serving,
    /// The slave takes no new calls; calls that run are finished and their ends delivered.
    Draining,
    /// Every call has ended, its end was taken, and no proxy can send another.
    Drained,
    /// Links are to close.
    Closing,
}
