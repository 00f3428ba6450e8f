//! First messages of a link: who the slave is, whether its code is accepted, and which dialect both sides speak from then on.
//!
//! Text messages, compatible with the existing Node server (docs/PROTOCOL.md, "First messages"). A `protocol` member on both sides
//! means the native dialect; without it the link is plain. Must not know codes or sockets.

mod auth;
pub mod close;
mod hello;
mod resume;

/// Header of the opening handshake, of any value, by which a slave says that it has calls or had some in the minute before: a proxy that
/// admits few connections after an outage lets some of these in first.
pub const IN_USE_HEADER: &str = "mcp-relay-in-use";

pub use auth::{Auth, AuthReply, HandshakeError, INVALID_CODE, PresentedCode};
pub use hello::{
    PROTOCOL_NAME, ProxyHello, REVIEW_DEFAULTS, SlaveHello, VERSIONS, check_slave_name, choose_version,
};
pub use resume::{MAX_RESUME, ResumeProof, ResumeSecret, nonce_text, proven_text};
