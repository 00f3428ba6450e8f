//! Connections of the HTTP client: plain or TLS, directly or through a proxy. Must not know requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::fault::ConnectFault;
use crate::outbound::{Channel, ForwardProxy, OutboundRules, Way};
use crate::tls::{self, MaybeTlsStream, TlsFailure, TlsPeer};

/// What a client offers in TLS (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2, else HTTP/1.1.
    Both,
    /// HTTP/1.1, for users of connections rather than of a client: their requests have no whole URLs, so that a forward proxy is asked
    /// for a tunnel also where there is no TLS.
    Http1,
    /// HTTP/2, also where there is no TLS: a forward proxy is asked for a tunnel then, since it would read HTTP/1.1.
    Http2,
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// TLS for `https` URLs; `None`: such URLs fail. Its application protocols are replaced.
    pub tls: Option<Arc<ClientConfig>>,
    /// What the user changes where the server's certificate is not trusted.
    pub roots: &'static str,
    /// What the user changes where the server asks for a certificate; `None`: this client presents none.
    pub identity: Option<&'static str>,
    /// What is offered to servers.
    pub protocols: Protocols,
    /// The forward proxies on the way.
    pub ways: OutboundRules,
}

impl ClientSettings {
    /// Returns the way to a server, with its host (IPv6 in brackets) and port.
    pub(super) fn way<'a>(&self, to: &'a Uri) -> (Way, &'a str, u16) {
        let host = to.host().unwrap_or_default();
        let (channel, default) = if is_secure(to) { (Channel::Tls, 443) } else { (Channel::Plain, 80) };
        let port = to.port_u16().unwrap_or(default);
        (self.ways.to(channel, host, port), host, port)
    }

    /// Returns a server of this name, for explanations.
    pub(super) fn peer<'a>(&'a self, host: &'a str) -> TlsPeer<'a> {
        let protocol = if self.protocols == Protocols::Http2 { "h2" } else { "http/1.1" };
        let (roots, identity) = (self.roots, self.identity);
        TlsPeer::Server { host: bare(host), roots, identity, plain: "http://", protocol }
    }

    /// Returns the proxy that reads the requests to a server: those without TLS, unless a tunnel is needed.
    pub(super) fn reading_proxy(&self, to: &Uri) -> Option<ForwardProxy> {
        match self.way(to).0 {
            Way::Through(proxy) if !is_secure(to) && self.protocols == Protocols::Both => Some(proxy),
            _ => None,
        }
    }
}

fn is_secure(to: &Uri) -> bool {
    to.scheme() == Some(&Scheme::HTTPS)
}

/// The alert by which a server ended TLS last, with the server's name: HTTP/2 does not pass it on to the requests.
pub(super) type LastAlert = Arc<Mutex<Option<(String, TlsFailure)>>>;

/// The opener of a client's connections.
#[derive(Clone, Debug)]
pub struct Connector {
    settings: Arc<ClientSettings>,
    timeout: Duration,
    alert: LastAlert,
}

impl Connector {
    /// Returns a connector whose connections are open within `timeout`, or fail; through a proxy they may take twice that.
    pub fn new(settings: ClientSettings, timeout: Duration) -> Self {
        let protocols = match settings.protocols {
            Protocols::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Protocols::Http1 => vec![b"http/1.1".to_vec()],
            Protocols::Http2 => vec![b"h2".to_vec()],
        };
        let tls = settings.tls.as_deref().map(|tls| {
            let mut tls = ClientConfig::clone(tls);
            tls.alpn_protocols = protocols;
            Arc::new(tls)
        });
        let settings = Arc::new(ClientSettings { tls, ..settings });
        Self { settings, timeout, alert: LastAlert::default() }
    }

    /// Returns the last alert of the servers that it connects to.
    pub(super) fn last_alert(&self) -> LastAlert {
        Arc::clone(&self.alert)
    }

    /// Opens a connection to the server of a URL. Errors are sentences that say what to do. Cancel safe.
    ///
    /// # Errors
    /// No connection is there in time.
    pub async fn connect(&self, to: &Uri) -> Result<HttpStream, ConnectFault> {
        let (way, host, port) = self.settings.way(to);
        let limit = if matches!(way, Way::Direct { .. }) { self.timeout } else { self.timeout * 2 };
        let late = |_| Err(ConnectFault::Late(limit));
        tokio::time::timeout(limit, self.open(to, &way, host, port)).await.unwrap_or_else(late)
    }

    async fn open(&self, to: &Uri, way: &Way, host: &str, port: u16) -> Result<HttpStream, ConnectFault> {
        let target = format!("{host}:{port}");
        let proxied = self.settings.reading_proxy(to).is_some();
        let stream = match way {
            Way::Direct { .. } => MaybeTlsStream::from(dial(host, port).await?),
            Way::Through(proxy) if proxied => proxy.connect(&target).await?,
            Way::Through(proxy) => proxy.open(&target).await?,
            Way::Unusable(fault) => return Err(fault.to(&target).into()),
        };
        if !is_secure(to) {
            return Ok(HttpStream { stream: MaybeTlsStream::from(stream), alerts: None, proxied });
        }
        *self.alert.lock() = None;
        let stream = self.encrypt(stream, host).await?;
        let alerts = AlertNotes {
            host: host.to_owned(),
            settings: Arc::clone(&self.settings),
            last: self.last_alert(),
        };
        Ok(HttpStream { stream, alerts: Some(alerts), proxied: false })
    }

    async fn encrypt(
        &self,
        stream: MaybeTlsStream,
        host: &str,
    ) -> Result<MaybeTlsStream<MaybeTlsStream>, ConnectFault> {
        let settings = &self.settings;
        let Some(tls) = &settings.tls else { return Err(ConnectFault::NoTls(host.to_owned())) };
        let name =
            ServerName::try_from(bare(host).to_owned()).map_err(|_| ConnectFault::Name(host.to_owned()))?;
        MaybeTlsStream::connect(Arc::clone(tls), name, stream).await.map_err(|error| ConnectFault::Tls {
            host: host.to_owned(),
            failure: tls::explain(&error, settings.peer(host)),
        })
    }
}

/// Returns a host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, ConnectFault> {
    let stream = TcpStream::connect((bare(host), port)).await;
    let stream =
        stream.map_err(|source| ConnectFault::Unreachable { host: host.to_owned(), port, source })?;
    // Messages are to arrive at once; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<HttpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<HttpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&to).await.map(TokioIo::new).map_err(io::Error::other) })
    }
}

/// A connection to a server, or to a proxy that reads the requests.
#[derive(Debug)]
pub struct HttpStream {
    /// TLS is with the server, directly or in a tunnel; below it may be that with a proxy.
    stream: MaybeTlsStream<MaybeTlsStream>,
    /// `None` without TLS with the server.
    alerts: Option<AlertNotes>,
    /// Whether requests have to name the server's whole URL.
    proxied: bool,
}

/// Where a connection notes the alert that ends it. A server that does not accept this client's certificate says so after the handshake
/// (TLS 1.3).
#[derive(Debug)]
struct AlertNotes {
    host: String,
    settings: Arc<ClientSettings>,
    last: LastAlert,
}

impl AlertNotes {
    fn note(&self, error: &io::Error) {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
            let failure = tls::explain(error, self.settings.peer(&self.host));
            *self.last.lock() = Some((self.host.clone(), failure));
        }
    }
}

impl HttpStream {
    /// Passes the outcome of reading or writing on.
    fn observed<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let (Poll::Ready(Err(error)), Some(alerts)) = (&outcome, &self.alerts) {
            alerts.note(error);
        }
        outcome
    }
}

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.proxied);
        let speaks_http2 = self.stream.application_protocol() == Some(b"h2");
        if speaks_http2 { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.observed(read)
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.observed(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.observed(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
