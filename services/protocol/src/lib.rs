//! The link between proxy and slave, and the MCP rules that both follow.
//!
//! Pure: no sockets, no async runtime, no clock (`now` is an argument), no randomness, and no other crate of this workspace.
//! The owner of a socket feeds bytes in, takes frames out and tells the time.
//!
//! docs/PROTOCOL.md describes the wire format that [`link::frame`], [`link::handshake`], [`link::header`] and [`mcp::catalog`]
//! implement; docs/ARCHITECTURE.md gives the reasons.

pub mod hex;
pub mod link;
pub mod mcp;
