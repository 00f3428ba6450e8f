//! The link between proxy and slave, and the MCP rules that both follow.
//!
//! Pure by construction: no sockets, no async runtime, no clock (`now` is an argument), nothing of ours
//! imported. Whoever owns a socket feeds bytes in, takes frames out and tells the time.
//!
//! docs/PROTOCOL.md describes the wire format that [`link::frame`], [`link::handshake`],
//! [`mcp::catalog`] and [`link::header`] implement; docs/ARCHITECTURE.md says why it is so.

pub mod link;
pub mod mcp;
