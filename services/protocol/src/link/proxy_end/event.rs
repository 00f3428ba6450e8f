//! What the proxy's end reports to the owner of the link. Must not know calls.

use bytes::Bytes;

use crate::link::frame::FrameKind;

/// What the owner of the link wants to know besides answers.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyEvent {
    /// A new catalog, complete.
    Catalog(Bytes),
    /// The slave takes no new calls.
    Draining,
    /// Which proxies the slave is linked to (JSON of [`crate::link::peers::Peers`]).
    Peers(Bytes),
    /// A fact about a client session that another proxy told the slave (JSON of [`crate::link::header::SessionFacts`]).
    Session(Bytes),
    /// A frame for a call that is not (or no longer) under way here; ignored.
    Stray(FrameKind),
}
