//! The first messages of a link: who the slave is, whether it may, and which dialect both speak from then on.
//!
//! Text frames, compatible with the existing Node server (EXISTING.md, "WebSocket, plain dialect"). A `protocol`
//! member on both sides means the native dialect; without it the link is plain. Knows no codes and no sockets.

mod auth;
pub mod close;
mod hello;

pub use auth::{Auth, AuthReply, HandshakeError, INVALID_CODE, PresentedCode};
pub use hello::{PROTOCOL_NAME, ProxyHello, SlaveHello, VERSIONS, check_slave_name, choose_version};
