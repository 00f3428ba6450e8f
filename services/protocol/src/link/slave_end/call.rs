//! One call as the slave keeps it. Knows neither link nor other calls.

use std::time::Instant;

use crate::link::ids::{LinkId, Seq};
use crate::link::journal::Journal;
use crate::link::reassembler::Reassembler;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its `open` is not all there.
    Receiving,
    /// The owner was told to run it.
    Running,
    /// It runs on, but its proxy is gone for good: nobody will ask for what it says.
    Unheard,
    /// Its end is written.
    Ended,
}

pub(super) struct Call {
    pub(super) link: Option<LinkId>,
    pub(super) intake: Reassembler,
    /// Chunks below this were credited.
    pub(super) credited: Seq,
    /// Bytes received since credit was last sent.
    pub(super) uncredited: usize,
    pub(super) stage: Stage,
    pub(super) announced: bool,
    pub(super) queued: bool,
    pub(super) waiting: bool,
    pub(super) down: Journal,
    pub(super) forget_at: Option<Instant>,
}

impl Call {
    /// Bytes a producer may be ahead of the reader.
    pub(super) fn room(&self) -> usize {
        self.down.window()
    }
}
