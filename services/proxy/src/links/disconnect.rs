//! The reasons for the end of a link to a slave, for the log, the metric and the close frame. Must not know slaves or
//! sockets.

use std::fmt;

use link::ConnectionError;
use protocol::link::handshake::close;

use super::close_reason::CloseReason;

/// The reason for the end of a link.
#[derive(Debug)]
pub(super) enum DisconnectReason {
    /// A newer link of the same slave replaced this one.
    Replaced,
    /// The proxy closes the link.
    ClosedByProxy(CloseReason),
    /// The slave closed the link.
    Closed,
    /// The slave closed the link at the end of its drain, as its process ends.
    Drained,
    /// Nothing was received for `LINK_PING_TIMEOUT_MS`.
    Silent,
    /// The slave violated the link's protocol or RFC 6455.
    Protocol(String),
    /// The connection failed.
    Lost(ConnectionError),
}

impl DisconnectReason {
    /// Returns the stable label of the metric.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::ClosedByProxy(reason) => reason.kind(),
            Self::Closed => "closed",
            Self::Drained => "drained",
            Self::Silent => "silent",
            Self::Protocol(_) => "protocol_error",
            Self::Lost(_) => "lost",
        }
    }

    /// Whether the slave left, or was sent away: it is not awaited, though it may dial again.
    pub(super) fn is_leaving(&self) -> bool {
        match self {
            Self::Closed | Self::Drained | Self::Replaced | Self::ClosedByProxy(_) | Self::Protocol(_) => {
                true
            }
            Self::Silent | Self::Lost(_) => false,
        }
    }

    /// Returns the code of the close frame; `None`: the connection is dropped without one.
    pub(super) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Replaced => Some(close::REPLACED),
            Self::ClosedByProxy(reason) => Some(reason.code()),
            Self::Protocol(_) => Some(close::PROTOCOL_ERROR),
            Self::Closed | Self::Drained => Some(close::GOING_AWAY),
            Self::Silent | Self::Lost(_) => None,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("replaced by a new connection"),
            Self::ClosedByProxy(reason) => reason.fmt(f),
            Self::Closed => f.write_str("closed by the slave"),
            Self::Drained => f.write_str("closed by the slave after its drain"),
            Self::Silent => f.write_str("silent for too long (paused process or dropped packets)"),
            Self::Protocol(what) => write!(f, "protocol error: {what}"),
            Self::Lost(error) => write!(f, "connection lost: {error}"),
        }
    }
}
