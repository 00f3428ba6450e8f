//! The opening handshake (RFC 6455, 4), done by tungstenite. Must not know what follows it.

use std::io::ErrorKind;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::connection::Connection;
use crate::head_stream::HeadStream;
use crate::message::Role;
use crate::opening::{Opening, OpeningFault, read_opening};

/// The reason for a failed handshake of a client.
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

/// Runs the client's handshake: sends the request for `url`, with this header of no meaning to RFC 6455, over `stream`, which is connected
/// already. `max_message` is the longest message that is read, in bytes. Has no time limit of its own.
pub async fn connect<S>(
    url: &str,
    header: Option<&'static str>,
    stream: S,
    max_message: usize,
) -> Result<Connection<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = url.into_client_request()?;
    if let Some(name) = header {
        request.headers_mut().insert(name, HeaderValue::from_static("1"));
    }
    let (socket, _response) =
        client_async_with_config(request, HeadStream::new(stream), Some(small())).await?;
    let (stream, buffered) = socket.into_inner().into_parts();
    Ok(Connection::with_buffered(stream, Role::Client, max_message, buffered))
}

/// Runs the server's handshake: answers the request on `stream`, after `inspect` has seen it. `max_message` is the longest
/// message that is read, in bytes. Has no time limit of its own. Where the peer asks for no WebSocket, the stream is
/// returned: nothing was written to it.
pub async fn accept<S>(
    mut stream: S,
    max_message: usize,
    inspect: impl FnOnce(&Request),
) -> Result<Connection<S>, (OpeningFault, S)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Opening { request, response } = match read_opening(&mut stream).await {
        Ok(opening) => opening,
        Err(fault) => return Err((fault, stream)),
    };
    inspect(&request);
    match answer(&mut stream, &response).await {
        Ok(()) => Ok(Connection::with_buffered(stream, Role::Server, max_message, BytesMut::new())),
        Err(fault) => Err((fault, stream)),
    }
}

/// Returns the WebSocket of a stream on which an HTTP server has read a request and written what [`crate::upgrade_response`]
/// returned for it. `buffered` is what the server has read behind the request; `max_message` is the longest message that is read,
/// in bytes.
pub fn upgraded<S>(stream: S, buffered: BytesMut, max_message: usize) -> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Connection::with_buffered(stream, Role::Server, max_message, buffered)
}

async fn answer<S>(stream: &mut S, response: &Response) -> Result<(), OpeningFault>
where
    S: AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    write_response(&mut head, response).map_err(|error| OpeningFault::Invalid(error.to_string()))?;
    stream.write_all(&head).await?;
    stream.flush().await?;
    Ok(())
}

/// Returns a configuration with small buffers: tungstenite allocates them although it is not used after the handshake.
fn small() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0)
}
