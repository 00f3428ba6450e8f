//! The failures of a WebSocket connection. Must not know what is sent over it.

use std::io;

/// A failure of an open connection. After a failure nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The underlying stream failed.
    #[error("{}", runtime::io_fault::describe(.0))]
    Io(#[from] io::Error),
    /// The stream ended without a close frame.
    #[error("connection reset without closing handshake")]
    UnexpectedEof,
    /// The connection was used after the peer's close frame.
    #[error("the connection is closed")]
    Closed,
    /// A message is longer than the limit of this connection; the peer should get close code 1009 or 1002.
    #[error("Space limit exceeded: Message too long: {size} > {limit}")]
    TooLong {
        /// Length that the peer announced, including earlier fragments, in bytes.
        size: u64,
        /// Longest message that is allowed, in bytes.
        limit: usize,
    },
    /// A violation of RFC 6455; the peer should get close code 1002.
    #[error("WebSocket protocol error: {0}")]
    Protocol(&'static str),
    /// A text message that is not UTF-8 (RFC 6455, 8.1).
    #[error("WebSocket protocol error: text that is not UTF-8")]
    InvalidUtf8,
}

impl ConnectionError {
    /// Returns whether the peer violated RFC 6455 or a limit, in contrast to a stream that failed.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Protocol(_) | Self::InvalidUtf8)
    }
}
