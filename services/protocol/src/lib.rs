//! The link between proxy and slave, and the MCP rules that both follow.
//!
//! Pure by construction: no sockets, no async runtime, no clock (`now` is an argument), nothing of ours
//! imported. Whoever owns a socket feeds bytes in, takes frames out and tells the time.
//!
//! docs/PROTOCOL.md describes the wire format that [`frame`], [`handshake`], [`catalog`] and [`header`]
//! implement; docs/ARCHITECTURE.md says why it is so.

pub mod backoff;
pub mod call;
pub mod catalog;
pub mod envelope;
pub mod era;
pub mod failure;
pub mod frame;
pub mod handshake;
pub mod header;
pub mod ids;
pub mod intake;
pub mod journal;
pub mod limits;
pub mod liveness;
mod object;
pub mod outbox;
pub mod peers;
pub mod plain;
pub mod progress;
pub mod proxy_end;
pub mod slave_end;
pub mod tally;
pub mod trace;
