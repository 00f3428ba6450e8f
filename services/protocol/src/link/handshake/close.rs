//! WebSocket close codes of the link (docs/PROTOCOL.md, "Close codes"). Must not know who closes.

/// No `auth` message within 10 s.
pub const NO_AUTH: u16 = 4000;
/// Replaced by a newer link of the same slave.
pub const REPLACED: u16 = 4001;
/// Wrong slave code.
pub const AUTH_FAILED: u16 = 4002;
/// The first message was not a usable `auth` message.
pub const NOT_AUTH: u16 = 4003;
/// The slave is linked to this proxy already and said so (`linked`); nothing was changed.
pub const ALREADY_LINKED: u16 = 4004;
/// Breach of the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// Going down.
pub const GOING_AWAY: u16 = 1001;
