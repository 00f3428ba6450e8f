//! Connections of the HTTP client: plain or TLS, directly or through a proxy. Must not know requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};
use tower::Service;

use crate::io_fault::describe;
use crate::tls::{self, MaybeTlsStream, TlsPeer};

/// Bytes of a proxy's answer to `CONNECT`, at most.
const MAX_PROXY_HEAD: usize = 8 * 1024;

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// TLS for `https` URLs. The application protocols are the client's own.
    pub tls: Arc<ClientConfig>,
    /// What the user changes where the server's certificate is not trusted.
    pub roots: &'static str,
    /// Proxies on the way.
    pub proxies: Proxies,
}

/// The proxies on the way to servers, by scheme and host.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<Matcher>);

impl Proxies {
    /// Returns those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not.
    pub fn from_env() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    /// Returns none: all connections are direct.
    pub fn none() -> Self {
        Self(Arc::new(Matcher::builder().build()))
    }

    /// Returns one proxy for all servers but those of `except`, a list as in `NO_PROXY`.
    pub fn all(url: &str, except: &str) -> Self {
        Self(Arc::new(Matcher::builder().all(url.to_owned()).no(except.to_owned()).build()))
    }

    /// Returns the credentials that a request itself must have: one without TLS is read by the proxy.
    pub(super) fn authorization_in_request(&self, to: &Uri) -> Option<HeaderValue> {
        let plain = to.scheme() == Some(&Scheme::HTTP);
        self.0.intercept(to).filter(|_| plain)?.basic_auth().cloned()
    }
}

/// Opens connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tls: Arc<ClientConfig>,
    roots: &'static str,
    proxies: Proxies,
    timeout: Duration,
}

impl Connector {
    /// Returns a connector whose connections are open within `timeout`, or fail.
    pub(super) fn new(settings: ClientSettings, timeout: Duration) -> Self {
        let ClientSettings { tls, roots, proxies } = settings;
        let mut tls = ClientConfig::clone(&tls);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { tls: Arc::new(tls), roots, proxies, timeout }
    }

    async fn connect(self, to: Uri) -> io::Result<TokioIo<HttpStream>> {
        let limit = self.timeout;
        tokio::time::timeout(limit, self.open(to)).await.unwrap_or_else(|_| {
            Err(io::Error::other(format!(
                "no connection within {limit:?}: does a firewall drop the packets?"
            )))
        })
    }

    async fn open(self, to: Uri) -> io::Result<TokioIo<HttpStream>> {
        let host = to.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let secure = to.scheme() == Some(&Scheme::HTTPS);
        let port = to.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let proxy = self.proxies.0.intercept(&to);
        let proxied = proxy.is_some();
        let stream = match &proxy {
            None => dial(bare, port, host).await?,
            Some(proxy) if secure => tunnel(proxy, &format!("{host}:{port}")).await?,
            Some(proxy) => dial_proxy(proxy).await?,
        };
        if !secure {
            return Ok(TokioIo::new(HttpStream { stream: MaybeTlsStream::from(stream), proxied }));
        }
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| io::Error::other(format!("{host} is no name that a certificate can have")))?;
        let stream = TlsConnector::from(self.tls).connect(name, stream).await.map_err(|error| {
            let peer = TlsPeer::Server {
                host,
                roots: self.roots,
                identity: None,
                plain: "http://",
                protocol: "http/1.1",
            };
            io::Error::other(format!("TLS to {host} failed: {}", tls::explain(&error, peer)))
        })?;
        let stream = MaybeTlsStream::from(TlsStream::from(stream));
        Ok(TokioIo::new(HttpStream { stream, proxied: false }))
    }
}

/// Connects to an address; `host` is how errors name it.
async fn dial(address: &str, port: u16, host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address, port)).await.map_err(|error| {
        io::Error::other(format!("no connection to {host}, port {port}: {}", describe(&error)))
    })?;
    // Messages are to arrive at once; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn dial_proxy(proxy: &Intercept) -> io::Result<TcpStream> {
    let uri = proxy.uri();
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err(io::Error::other(
            "the proxy of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is of a kind that cannot be used: set one with http://",
        ));
    }
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    dial(bare, uri.port_u16().unwrap_or(80), &format!("the proxy {host}")).await
}

/// Opens a tunnel through the proxy (RFC 9110, 9.3.6).
async fn tunnel(proxy: &Intercept, target: &str) -> io::Result<TcpStream> {
    let mut stream = dial_proxy(proxy).await?;
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = proxy.basic_auth() {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let refused = |what: &str| io::Error::other(format!("the proxy opens no way to {target}: {what}"));
    let broken = |error: io::Error| refused(&describe(&error));
    stream.write_all(&head).await.map_err(broken)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // The server behind the proxy speaks second, so that nothing stands behind the head.
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 || answer.len() > MAX_PROXY_HEAD {
            return Err(refused("its answer is no HTTP"));
        }
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = String::from_utf8_lossy(line).split(' ').nth(1).map(str::to_owned).unwrap_or_default();
    match status.as_str() {
        "407" => Err(refused("it wants credentials (http://user:password@host in HTTPS_PROXY)")),
        status if status.len() == 3 && status.starts_with('2') => Ok(stream),
        status => Err(refused(&format!("status {}", status.escape_default()))),
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<HttpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<HttpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// A connection to a server, or to a proxy that reads the requests.
#[derive(Debug)]
pub(super) struct HttpStream {
    stream: MaybeTlsStream,
    /// Whether requests have to name the server's whole URL.
    proxied: bool,
}

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.proxied);
        if self.stream.application_protocol() == Some(b"h2") { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
