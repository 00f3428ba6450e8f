//! Link between a slave and a proxy: frames, handshake, journals and the state machines of both ends.
//!
//! docs/PROTOCOL.md describes the wire format. Must not know sockets, clocks or who runs calls.

pub mod backoff;
mod base64url;
pub mod call;
pub mod error;
pub mod fleet;
pub mod frame;
pub mod grant_fact;
pub mod handshake;
pub mod header;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod known_client;
pub mod limits;
pub mod liveness;
pub mod outbox;
pub mod peers;
pub mod plain;
pub mod proxy_end;
pub mod reassembler;
pub mod response_check;
pub mod revocation;
pub mod rotation;
pub mod session_fact;
pub mod slave_end;
pub mod stats;
pub mod window;
