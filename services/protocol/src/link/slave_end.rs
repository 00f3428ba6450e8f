//! The slave's end of all its links: the journals of its calls, whichever link reads them.
//!
//! Feed frames in with [`SlaveEnd::receive`], take frames out with [`SlaveEnd::poll_transmit`], learn what to do from
//! [`SlaveEnd::poll_event`]. Never waits, never panics; memory is bounded by [`LinkLimits::journal`] and `assembly`.

mod broadcast;
mod call;
mod event;
mod receive;
mod state;
mod tombstones;
mod transmit;
mod write;

pub use event::{SlaveEvent, WriteOutcome};
pub use state::{RETENTION_MARGIN, SlaveEnd};
