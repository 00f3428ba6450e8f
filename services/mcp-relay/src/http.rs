//! A small HTTP/1.1 client for requests to mcp-relay servers, with one connection for each request or one for many. Knows no MCP.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use runtime::http_client::{ClientSettings, ConnectFault, Connector, Protocols};
use runtime::io_fault::describe;
use runtime::outbound::OutboundRules;
use runtime::tls::{TlsError, pinned};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

/// The address of a server, and how its certificate is verified.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// IP address or name; IPv6 without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// TLS configuration, where the server speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The forward proxies on the way. A server of this machine has none.
    pub(crate) ways: OutboundRules,
}

impl Target {
    /// The same server over TLS, if `file` is given: only the certificate in it is trusted.
    pub(crate) fn with_certificate(self, file: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self { tls: file.map(pinned).transpose()?, ..self })
    }

    /// The address of a server that listens on `host`: loopback where it listens on every interface.
    pub(crate) fn of_listener(host: &str, port: u16) -> Self {
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            other => other,
        };
        Self { host: host.to_owned(), port, tls: None, ways: OutboundRules::default() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Longest time that a connection, TLS included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the end of the response before, where a connection is used again.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// An open connection, for one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// Connects, with the TLS handshake where the server speaks TLS. Sends no request. Errors say what to do.
pub(crate) async fn connect(target: &Target) -> anyhow::Result<Connection> {
    let settings = ClientSettings {
        tls: target.tls.clone(),
        roots: "--ca-file (TLS_CERT for the server of this environment)",
        identity: None,
        protocols: Protocols::Http1,
        ways: target.ways.clone(),
    };
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    let url: Uri = format!("{scheme}://{target}/").parse()?;
    let stream = Connector::new(settings, CONNECT_TIMEOUT).connect(&url).await;
    let sender = handshake(stream.map_err(|fault| no_connection(fault, target))?).await?;
    Ok(Connection { sender, host: target.to_string().parse()? })
}

async fn handshake<S>(stream: S) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaking = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (sender, connection) = shaking.await.map_err(|error| no_response(&error))?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Connection {
    /// Whether the server has ended its last response and takes another request.
    async fn is_ready(&mut self) -> bool {
        let ready = tokio::time::timeout(READY_TIMEOUT, self.sender.ready()).await;
        ready.is_ok_and(|ready| ready.is_ok())
    }

    /// Sends the request and reads the head of the response. Dropping the body before its end closes the connection.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.send_request(request).await.map_err(|error| no_response(&error))
    }
}

/// Explains why there is no connection.
fn no_connection(fault: ConnectFault, target: &Target) -> anyhow::Error {
    match fault {
        ConnectFault::Unreachable { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            anyhow!("nothing listens on {target}")
        }
        ConnectFault::Unreachable { source, .. } if source.raw_os_error().is_none() => {
            anyhow!("{} has no address: check the name, and this machine's name resolution", target.host)
        }
        ConnectFault::Unreachable { source, .. } => {
            anyhow!("{target} cannot be reached ({})", describe(&source))
        }
        ConnectFault::Tls { failure, .. } => anyhow!("TLS failed: {failure}"),
        ConnectFault::Name(host) => anyhow!("{host} is no host name that a certificate can have"),
        fault => anyhow!(fault.to_string()),
    }
}

/// Explains why there is no response, without the HTTP library's words.
fn no_response(error: &hyper::Error) -> anyhow::Error {
    if error.is_parse() {
        return anyhow!(
            "the answer is not HTTP: a server that speaks TLS needs an https:// URL (TLS_CERT for the server of this environment)"
        );
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) if runtime::tls::is_tls(error) => {
            anyhow!(
                "the server ended TLS: it requires a client certificate, or does not accept this program's TLS"
            )
        }
        Some(error) if error.kind() != io::ErrorKind::ConnectionReset => {
            anyhow!("the connection broke ({})", describe(error))
        }
        _ => anyhow!(
            "the server closed the connection without an answer: it may be no HTTP server, one that speaks TLS (https://), or one that requires a client certificate; its log tells"
        ),
    }
}

/// Connects and sends one request.
pub(crate) async fn send(
    target: &Target,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    connect(target).await?.send(request).await
}

/// A connection that is kept open between requests, as clients keep it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptConnection(Arc<Mutex<Option<Connection>>>);

impl KeptConnection {
    /// Sends the request on the connection that is there, else on a new one. The server may close a connection at the moment in
    /// which a request comes: what fails on an old connection is sent again on a new one, so requests must be ones that may run twice.
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut slot = self.0.lock().await;
        if let Some(mut connection) = slot.take()
            && connection.is_ready().await
            && let Ok(response) = connection.send(request.clone()).await
        {
            *slot = Some(connection);
            return Ok(response);
        }
        let mut connection = connect(target).await.map_err(SendError::NoConnection)?;
        let response = connection.send(request).await.map_err(SendError::Broken)?;
        *slot = Some(connection);
        Ok(response)
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no connection: {0}")]
    NoConnection(#[source] anyhow::Error),
    #[error("the connection broke: {0}")]
    Broken(#[source] anyhow::Error),
}

/// Reads a response to its end.
pub(crate) async fn read_body(response: Response<Incoming>) -> anyhow::Result<Bytes> {
    let body = response.into_body().collect().await;
    Ok(body.map_err(|_| anyhow!("the connection broke before the answer was whole"))?.to_bytes())
}

/// Sends GET with a time limit and returns status and body.
pub(crate) async fn get(target: &Target, path: &str, limit: Duration) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let request = Request::get(path).body(Full::default())?;
        let response = send(target, request).await?;
        let status = response.status().as_u16();
        let body = read_body(response).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    match tokio::time::timeout(limit, exchange).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", limit.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_interface_is_reached_over_loopback() {
        for (host, expected) in
            [("0.0.0.0", "127.0.0.1:80"), ("::", "[::1]:80"), ("10.0.0.1", "10.0.0.1:80"), ("h", "h:80")]
        {
            assert_eq!(Target::of_listener(host, 80).to_string(), expected);
        }
    }
}
