//! One HTTP exchange on a connection of its own, read piece by piece. Knows nothing of MCP.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::{self, TIMEOUT};

type Head = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// A request that was sent. Dropping it closes the connection.
pub struct Exchange {
    head: Option<Head>,
    body: Option<Incoming>,
    /// Valid after [`Self::head`].
    pub status: StatusCode,
    /// Valid after [`Self::head`].
    pub headers: HeaderMap,
    connection: JoinHandle<()>,
}

impl Exchange {
    /// Sends the request; does not wait for the answer.
    pub async fn start(address: SocketAddr, request: Request<Full<Bytes>>) -> Self {
        Self::try_start(address, request).await.unwrap_or_else(|e| panic!("connect to {address}: {e}"))
    }

    /// As [`Self::start`], for servers that may be gone.
    pub async fn try_start(address: SocketAddr, request: Request<Full<Bytes>>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP handshake");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        // The request is queued here; the future only returns the response and keeps `sender` alive.
        let answer = sender.send_request(request);
        let head = Box::pin(async move {
            let answer = answer.await;
            drop(sender);
            answer
        });
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Ok(Self { head: Some(head), body: None, status, headers, connection })
    }

    /// Waits for status and headers.
    pub async fn head(&mut self) {
        self.try_head().await.expect("an HTTP answer");
    }

    /// As [`Self::head`], for connections that may be closed unanswered.
    pub async fn try_head(&mut self) -> hyper::Result<()> {
        if let Some(head) = self.head.take() {
            let response = wait::within("HTTP status line", TIMEOUT, head).await?;
            let (parts, body) = response.into_parts();
            self.status = parts.status;
            self.headers = parts.headers;
            self.body = Some(body);
        }
        Ok(())
    }

    /// A header's text, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("header text"))
    }

    /// Returns the next bytes of the body; `None` at its end; an error if the connection broke.
    pub async fn try_chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        self.try_head().await?;
        let body = self.body.as_mut().expect("a head was read");
        loop {
            match wait::within("bytes of an HTTP body", TIMEOUT, body.frame()).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(chunk) = self.try_chunk().await.expect("the body's end") {
            all.extend_from_slice(&chunk);
        }
        all
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Builds a request; of a header that is given twice, the last value is used.
pub fn request(
    method: Method,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    request.headers_mut().insert("host", HeaderValue::from_static("127.0.0.1"));
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a header name");
        request.headers_mut().insert(name, value.parse().expect("a header value"));
    }
    request
}

/// `GET`: status and body as text.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut exchange = Exchange::start(address, request(Method::GET, path, &[], Vec::new())).await;
    exchange.head().await;
    let body = exchange.rest().await;
    (exchange.status.as_u16(), String::from_utf8(body).expect("text"))
}

/// The status of a `GET`; `None` where the server refuses or drops the connection.
pub async fn try_status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut exchange =
        Exchange::try_start(address, request(Method::GET, path, &[], Vec::new())).await.ok()?;
    exchange.try_head().await.ok()?;
    Some(exchange.status.as_u16())
}

/// Connects from this source address; all of 127.0.0.0/8 is this machine.
pub async fn connect_from(source: IpAddr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

/// Sends bytes from this source address and reads until the server closes.
pub async fn raw_from(source: IpAddr, address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect_from(source, address).await.expect("connect");
    // A server that refuses the connection may have closed it already.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _ = wait::within("the server to close", TIMEOUT, stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends bytes as they are and reads until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(bytes).await.expect("write");
    let mut all = Vec::new();
    // A reset after the answer counts as a close.
    let _ = wait::within("the server to close", TIMEOUT, stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}
