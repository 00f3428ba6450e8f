//! The opening handshake (RFC 6455, 4), done by tungstenite. Must not know what follows it.

use std::io::ErrorKind;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_hdr_async_with_config, client_async_with_config};

use crate::connection::Connection;
use crate::head_stream::HeadStream;
use crate::message::Role;

/// The reason for a failed handshake.
pub type HandshakeError = tokio_tungstenite::tungstenite::Error;

/// Explains why a client's handshake failed, as a part of a sentence whose subject is the server.
pub fn explain(error: &HandshakeError) -> String {
    match error {
        HandshakeError::Http(answer) => format!("it answers HTTP {}", answer.status().as_u16()),
        HandshakeError::Io(error) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "it closed the connection without an answer".to_owned()
            }
            kind => format!("the connection broke ({kind})"),
        },
        HandshakeError::ConnectionClosed
        | HandshakeError::AlreadyClosed
        | HandshakeError::Protocol(ProtocolError::HandshakeIncomplete) => {
            "it closed the connection without an answer".to_owned()
        }
        HandshakeError::Protocol(ProtocolError::HttparseError(_)) | HandshakeError::HttpFormat(_) => {
            "its answer is not HTTP (a port that speaks TLS needs wss://)".to_owned()
        }
        HandshakeError::Capacity(_) | HandshakeError::Protocol(_) => {
            "its answer breaks the rules of the WebSocket protocol".to_owned()
        }
        HandshakeError::Url(_) => "its URL cannot be used".to_owned(),
        _ => "the handshake failed".to_owned(),
    }
}

/// The HTTP request that asks for the WebSocket.
pub type HandshakeRequest = Request;

/// Runs the client's handshake: sends the request for `url` over `stream`, which is connected already. `max_message` is
/// the longest message that is read, in bytes. Has no time limit of its own.
pub async fn connect<S>(url: &str, stream: S, max_message: usize) -> Result<Connection<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (socket, _response) = client_async_with_config(url, HeadStream::new(stream), Some(small())).await?;
    let (stream, buffered) = socket.into_inner().into_parts();
    Ok(Connection::with_buffered(stream, Role::Client, max_message, buffered))
}

/// Runs the server's handshake: answers the request on `stream`, after `inspect` has checked it. `max_message` is the
/// longest message that is read, in bytes. Has no time limit of its own.
pub async fn accept<S>(
    stream: S,
    max_message: usize,
    inspect: impl FnOnce(&Request) + Unpin,
) -> Result<Connection<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    #[expect(clippy::result_large_err, reason = "tungstenite says what a callback returns")]
    let callback = |request: &Request, response: Response| {
        inspect(request);
        Ok(response)
    };
    // A client that sends data before it has the answer is refused, because nothing can be buffered here.
    let socket = accept_hdr_async_with_config(stream, callback, Some(small())).await?;
    Ok(Connection::with_buffered(socket.into_inner(), Role::Server, max_message, BytesMut::new()))
}

/// Returns a configuration with small buffers: tungstenite allocates them although it is not used after the handshake.
fn small() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0)
}
