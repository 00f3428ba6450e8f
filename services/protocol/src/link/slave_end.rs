//! The slave's end of all its links: the journals of its calls, whichever link reads them.
//!
//! The owner feeds frames in with [`SlaveEnd::receive`], takes frames out with [`SlaveEnd::poll_transmit`], and learns what to do
//! from [`SlaveEnd::poll_event`]. A call is open to the links of the fleet that opened it, and unknown on all others. No function waits or panics; memory is bounded by `journal` and `assembly` of
//! [`LinkLimits`](crate::link::limits::LinkLimits).

mod broadcast;
mod call;
mod event;
mod peer;
mod receive;
mod room;
mod state;
mod tombstones;
mod transmit;
mod write;

pub use event::{SlaveEvent, WriteOutcome};
pub use peer::ProxyPeer;
pub use room::STALLED_AFTER;
pub use state::{RETENTION_MARGIN, SlaveEnd};
pub use tombstones::MAX_TOMBSTONES;
