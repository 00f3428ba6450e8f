//! Events that the proxy's end reports to the owner of the link. Must not know calls.

use bytes::Bytes;

use crate::link::frame::FrameKind;

/// Event of a link, besides responses of calls.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyEvent {
    /// A part of the catalog (JSON of [`crate::mcp::catalog::CatalogPart`]).
    Catalog(Bytes),
    /// The slave takes no new calls.
    Draining,
    /// Proxies that the slave is linked to (JSON of [`crate::link::peers::Peers`]).
    Peers(Bytes),
    /// A fact about a client session that another proxy told the slave (JSON of [`crate::link::session_fact::SessionFact`]).
    Session(Bytes),
    /// A chunk of a call that is not (or no longer) under way here; it was ignored.
    UnknownCall(FrameKind),
}
