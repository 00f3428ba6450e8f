//! WebSocket messages as the connection delivers and accepts them. Must not know how they are encoded.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The side of the connection that this process has (RFC 6455, 5.1: only a client masks its frames).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that dialled.
    Client,
    /// The side that accepted.
    Server,
}

/// Code and reason of a close frame (RFC 6455, 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Status code.
    pub code: u16,
    /// Text for people, at most 123 bytes.
    pub reason: Utf8Bytes,
}

/// A whole message. Payloads share memory with the read buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Binary data.
    Binary(Bytes),
    /// Text, valid UTF-8.
    Text(Utf8Bytes),
    /// A ping; the pong is queued already.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer's close frame; the answer is queued already. Nothing follows.
    Close(Option<CloseFrame>),
}
