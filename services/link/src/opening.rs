//! The request by which a peer opens a connection: one for a WebSocket (RFC 6455, 4.2.1), or anything else, told apart. Must
//! not know answers.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Method, Request, Response, Version};

/// Longest head of a request that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// What a peer sent in place of a request for a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum OpeningFault {
    /// The peer closed the connection before its request was whole.
    #[error("closed before a request came")]
    Closed,
    /// The stream failed.
    #[error("{}", runtime::io_fault::describe(.0))]
    Io(#[from] io::Error),
    /// Something that is not HTTP.
    #[error("the peer does not speak HTTP{}", if *tls { ", but TLS" } else { "" })]
    NotHttp {
        /// It looks like the begin of a TLS handshake.
        tls: bool,
    },
    /// The head of the request is too long.
    #[error("the request's head is longer than {MAX_HEAD} bytes, or has more than {MAX_HEADERS} headers")]
    TooLong,
    /// A request for something other than a WebSocket.
    #[error("a plain HTTP request, not one for a WebSocket")]
    Plain {
        /// HTTP method.
        method: String,
        /// Path, without the query.
        path: String,
    },
    /// A request for another version of the WebSocket protocol than 13.
    #[error("a request for another version of the WebSocket protocol than 13")]
    Version,
    /// A request for a WebSocket that breaks RFC 6455.
    #[error("{0}")]
    Invalid(String),
}

/// A request for a WebSocket, with the response that accepts it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) request: Request<()>,
    pub(crate) response: Response<()>,
}

/// Reads the request. What the peer sends behind it before the answer is a fault: nothing can be buffered here.
pub(crate) async fn read_opening<S>(stream: &mut S) -> Result<Opening, OpeningFault>
where
    S: AsyncRead + Unpin,
{
    let mut head = BytesMut::new();
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(OpeningFault::Closed);
        }
        if let Some(opening) = parse(&head)? {
            return Ok(opening);
        }
        if head.len() > MAX_HEAD {
            return Err(OpeningFault::TooLong);
        }
    }
}

/// Parses a request. `None`: it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Opening>, OpeningFault> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(OpeningFault::TooLong),
        // A handshake record of TLS begins with 22 and the version 3 (RFC 8446, 5.1).
        Err(_) => return Err(OpeningFault::NotHttp { tls: bytes.starts_with(&[22, 3]) }),
    };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let value = |name: &str| {
        let named = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    };
    let asks_for_websocket =
        value("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) && method == "GET";
    if !asks_for_websocket {
        let path = target.split('?').next().unwrap_or_default().to_owned();
        return Err(OpeningFault::Plain { method: method.to_owned(), path });
    }
    if value("sec-websocket-version") != Some(b"13") {
        return Err(OpeningFault::Version);
    }
    if length < bytes.len() {
        return Err(OpeningFault::Invalid("data came before the handshake was answered".into()));
    }
    accept(&parsed).map(Some)
}

/// Returns the response that accepts a request for a WebSocket which an HTTP server has read.
///
/// # Errors
/// It is a request for something else, or one that breaks RFC 6455.
pub fn upgrade_response(request: &Request<()>) -> Result<Response<()>, OpeningFault> {
    let header = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    let asks_for_websocket = header(UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && request.method() == Method::GET;
    if !asks_for_websocket {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        return Err(OpeningFault::Plain { method, path });
    }
    if header(SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(OpeningFault::Version);
    }
    respond(request)
}

fn respond(request: &Request<()>) -> Result<Response<()>, OpeningFault> {
    create_response(request).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => OpeningFault::Version,
        other => OpeningFault::Invalid(other.to_string()),
    })
}

fn accept(parsed: &httparse::Request<'_, '_>) -> Result<Opening, OpeningFault> {
    let invalid = |error: &dyn std::fmt::Display| OpeningFault::Invalid(error.to_string());
    let mut request = Request::new(());
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    *request.version_mut() = version;
    *request.uri_mut() = parsed.path.unwrap_or_default().parse().map_err(|error| invalid(&error))?;
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|error| invalid(&error))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|error| invalid(&error))?;
        request.headers_mut().append(name, value);
    }
    let response = respond(&request)?;
    Ok(Opening { request, response })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const GOOD: &str = "GET /any?x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// Returns the request as an HTTP server would read it, where it is one and nothing stands behind it.
    fn whole(bytes: &[u8]) -> Option<Request<()>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = parsed.parse(bytes).ok().filter(httparse::Status::is_complete)?.unwrap();
        if length < bytes.len() {
            return None;
        }
        let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut request = Request::builder().method(parsed.method?).uri(parsed.path?).version(version);
        for header in parsed.headers.iter() {
            request = request.header(header.name, header.value);
        }
        request.body(()).ok()
    }

    /// Reads these bytes, which come in pieces of so many.
    async fn read(bytes: &[u8], piece: usize) -> Result<Opening, OpeningFault> {
        let (mut server, mut client) = duplex(64 * 1024);
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            for piece in bytes.chunks(piece) {
                let _ = client.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        });
        let opening = read_opening(&mut server).await;
        drop(server);
        writing.await.unwrap();
        opening
    }

    #[tokio::test]
    async fn a_request_for_a_websocket_is_taken_in_any_pieces() {
        for piece in [1, 7, 4096] {
            let opening = read(GOOD.as_bytes(), piece).await.unwrap();
            assert_eq!(opening.request.uri().path(), "/any");
            assert_eq!(opening.response.status(), 101);
            assert_eq!(opening.response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            let same = upgrade_response(&opening.request).unwrap();
            assert_eq!(same.headers(), opening.response.headers());
        }
    }

    #[tokio::test]
    async fn anything_else_is_told_apart() {
        let with = |from: &str, to: &str| GOOD.replace(from, to).into_bytes();
        for (bytes, expected) in [
            (Vec::new(), "Closed"),
            (b"GET / HTTP/1.1\r\nHost".to_vec(), "Closed"),
            (b"\x16\x03\x01\x00\xa5\x01\x00".to_vec(), "NotHttp { tls: true }"),
            (b"SSH-2.0-client\r\n".to_vec(), "NotHttp { tls: false }"),
            (b"\x00\x01".to_vec(), "NotHttp { tls: false }"),
            (b"GET /healthz?x HTTP/1.0\r\n\r\n".to_vec(), r#"Plain { method: "GET", path: "/healthz" }"#),
            (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n{}".to_vec(), r#"Plain { method: "POST", path: "/" }"#),
            (with("GET", "PUT"), r#"Plain { method: "PUT", path: "/any" }"#),
            (with("Upgrade: WebSocket", "Upgrade: h2c"), r#"Plain { method: "GET", path: "/any" }"#),
            (with("Version: 13", "Version: 8"), "Version"),
            (with("Sec-WebSocket-Version: 13\r\n", ""), "Version"),
            (with("dGhl", "!"), "Invalid"),
            (with("keep-alive, Upgrade", "close"), "Invalid"),
            (with("HTTP/1.1", "HTTP/1.0"), "Invalid"),
            ([GOOD.as_bytes(), b"\x81\x00"].concat(), "Invalid"),
            (format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000)).into_bytes(), "TooLong"),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101)).into_bytes(), "TooLong"),
        ] {
            let fault = read(&bytes, 4096).await.unwrap_err();
            if let Some(request) = whole(&bytes) {
                let same = upgrade_response(&request).unwrap_err();
                assert_eq!(std::mem::discriminant(&same), std::mem::discriminant(&fault), "{same}");
            }
            assert!(
                format!("{fault:?}").starts_with(expected),
                "{fault:?} of {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
