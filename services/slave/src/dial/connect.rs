//! The opening of a WebSocket to the proxy: TCP, TLS for `wss`, opening handshake. Must not know the link.

use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::link::handshake::IN_USE_HEADER;
use protocol::link::limits::MAX_BATCH;
use runtime::outbound::{ForwardProxy, Way, WayFault, WayFaultKind};
use runtime::tls::{ClientFiles, MaybeTlsStream, TlsError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

use crate::config::ProxyUrl;
use crate::link::{Metered, Socket};

/// Time limit for TCP, TLS and the opening handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait that a proxy can impose with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The reason that a connection could not be opened. The text says what to check.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The TCP connection failed.
    #[error(
        "cannot reach {host}:{port} ({address}): {}. Check that the proxy runs, that PROXY_SERVER_URL names its WebSocket port (PROXY_WS_PORT), and that no firewall is in between",
        runtime::io_fault::describe(.source)
    )]
    Connect {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// Port of `PROXY_SERVER_URL`.
        port: u16,
        /// The address that was dialed.
        address: IpAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The forward proxy on the way opens none.
    #[error("{0}")]
    Way(#[from] WayFault),
    /// TCP, TLS and opening handshake together took too long (more than 10 s).
    #[error("no WebSocket to {url} within {} s. Check that PROXY_SERVER_URL names the proxy's WebSocket port, and that no firewall drops the packets", CONNECT_TIMEOUT.as_secs())]
    Timeout {
        /// `PROXY_SERVER_URL`.
        url: String,
    },
    /// The TLS handshake failed.
    #[error("TLS to {host} failed: {why}")]
    Tls {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// The reason, and what to do about it.
        why: String,
    },
    /// The proxy rejects new connections for a while (`HANDSHAKE_RATE`).
    #[error("the proxy has too many new connections (HANDSHAKE_RATE): retry after {} s", after.as_secs())]
    Busy {
        /// Shortest wait before the next attempt.
        after: Duration,
    },
    /// The server does not speak WebSocket, or the port is not a proxy's WebSocket port.
    #[error(
        "{url} is no WebSocket server: {why}. Check that PROXY_SERVER_URL names the proxy's WebSocket port, not its HTTP port, and ws:// or wss:// as the server has it"
    )]
    NotWebSocket {
        /// `PROXY_SERVER_URL`.
        url: String,
        /// The server's answer, or the violation.
        why: String,
    },
}

/// The opener of connections to one URL of a proxy.
pub(super) struct Connector {
    proxy: ProxyUrl,
    /// The way to the proxy.
    way: Way,
    /// Longest message that is read, in bytes.
    max_message: usize,
    tls: Option<Tls>,
}

/// TLS from its files, with the last valid configuration.
struct Tls {
    files: ClientFiles,
    last: Mutex<Arc<ClientConfig>>,
}

impl Tls {
    fn new(files: ClientFiles) -> Result<Self, TlsError> {
        let last = Mutex::new(files.load()?);
        Ok(Self { files, last })
    }

    /// Reads the files again; where they are invalid, the last valid configuration stays in use. The files are small
    /// and local, so reading them does not block for long.
    fn load(&self) -> Arc<ClientConfig> {
        let mut last = self.last.lock();
        if !self.files.is_empty() {
            match self.files.load() {
                Ok(config) => *last = config,
                Err(error) => tracing::error!(
                    "PROXY_CA_FILE, PROXY_CLIENT_CERT or PROXY_CLIENT_KEY cannot be used, what they said before holds: {error}"
                ),
            }
        }
        Arc::clone(&last)
    }
}

impl Connector {
    /// Creates a connector, and loads the TLS files where the URL requires TLS. `max_message` is the longest message
    /// that is read, in bytes.
    pub(super) fn new(
        proxy: ProxyUrl,
        way: Way,
        files: &ClientFiles,
        max_message: usize,
    ) -> Result<Self, DialError> {
        let failed =
            |error: TlsError| DialError::Tls { host: proxy.host().to_owned(), why: error.to_string() };
        let tls = proxy.is_tls().then(|| Tls::new(files.clone())).transpose().map_err(failed)?;
        Ok(Self { proxy, way, max_message: max_message.max(MAX_BATCH), tls })
    }

    /// Returns the host and port whose addresses are dialed.
    pub(super) fn dialed(&self) -> (&str, u16) {
        match &self.way {
            Way::Through(proxy) => proxy.address(),
            Way::Direct { .. } | Way::Unusable(_) => (self.proxy.host(), self.proxy.port()),
        }
    }

    /// Returns why there is no way to the proxy at all.
    pub(super) fn no_way(&self) -> Option<String> {
        match &self.way {
            Way::Unusable(proxy) => Some(proxy.to(&self.proxy.authority()).to_string()),
            Way::Direct { .. } | Way::Through(_) => None,
        }
    }

    /// Returns the way as the end of a log line: empty where it is direct.
    pub(super) fn way(&self) -> String {
        match &self.way {
            Way::Direct { .. } => String::new(),
            way => format!(" {way}"),
        }
    }

    /// Explains why [`Self::dialed`] has no address.
    pub(super) fn explain_unresolved(&self, error: &io::Error) -> String {
        let why = runtime::io_fault::describe(error);
        match &self.way {
            Way::Through(proxy) => {
                proxy.fault(&self.proxy.authority(), WayFaultKind::Unresolved(why)).to_string()
            }
            Way::Direct { .. } | Way::Unusable(_) => format!(
                "{} has no address: {why}. Check the host name in PROXY_SERVER_URL and this machine's name resolution; \
                 where only a forward proxy knows it, set HTTPS_PROXY or PROXY_TUNNEL_URL",
                self.proxy.host()
            ),
        }
    }

    /// Returns the URL whose host is dialed.
    pub(super) fn url(&self) -> &ProxyUrl {
        &self.proxy
    }

    /// Dials one address of the URL's host once. `in_use` tells the proxy that clients may wait for this slave. Cancel safe: dropping the
    /// future closes the connection.
    pub(super) async fn connect(&self, address: SocketAddr, in_use: bool) -> Result<Socket, DialError> {
        let late = |_| Err(DialError::Timeout { url: self.proxy.to_string() });
        // The way through a forward proxy has limits of its own, which name it.
        let limit = if matches!(self.way, Way::Through(_)) { 2 * CONNECT_TIMEOUT } else { CONNECT_TIMEOUT };
        tokio::time::timeout(limit, self.dial(address, in_use)).await.unwrap_or_else(late)
    }

    async fn dial(&self, address: SocketAddr, in_use: bool) -> Result<Socket, DialError> {
        let stream = match &self.way {
            Way::Direct { .. } => MaybeTlsStream::from(self.dial_directly(address).await?),
            Way::Through(forward) => self.tunnel(forward, address).await?,
            Way::Unusable(proxy) => return Err(proxy.to(&self.proxy.authority()).into()),
        };
        let stream = self.encrypt(Metered::new(stream)).await?;
        let header = in_use.then_some(IN_USE_HEADER);
        let opening = link::connect(self.proxy.url().as_str(), header, stream, self.max_message);
        opening.await.map_err(|error| self.explain(&error))
    }

    async fn dial_directly(&self, address: SocketAddr) -> Result<TcpStream, DialError> {
        let (host, port) = (self.proxy.host(), self.proxy.port());
        let refused =
            |source| DialError::Connect { host: host.to_owned(), port, address: address.ip(), source };
        let tcp = TcpStream::connect(address).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        Ok(tcp)
    }

    /// Opens a tunnel through a forward proxy, of which this is an address.
    async fn tunnel(&self, forward: &ForwardProxy, address: SocketAddr) -> Result<MaybeTlsStream, WayFault> {
        let target = self.proxy.authority();
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let tcp = connected.map_err(|error| {
            forward.fault(&target, WayFaultKind::Unreachable(runtime::io_fault::describe(&error)))
        })?;
        forward.open_over(tcp, &target).await
    }

    /// Runs the TLS handshake where the URL requires TLS.
    async fn encrypt(
        &self,
        tcp: Metered<MaybeTlsStream>,
    ) -> Result<MaybeTlsStream<Metered<MaybeTlsStream>>, DialError> {
        let Some(tls) = &self.tls else { return Ok(MaybeTlsStream::from(tcp)) };
        let host = self.proxy.host().to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| DialError::Tls {
            host,
            why: "it is no host name that a certificate can have".into(),
        })?;
        let connecting = MaybeTlsStream::connect(tls.load(), name, tcp);
        connecting.await.map_err(|error| self.explain_tls(&error))
    }

    fn explain_tls(&self, error: &io::Error) -> DialError {
        let why = runtime::tls::explain(error, self.proxy.tls_peer()).to_string();
        DialError::Tls { host: self.proxy.host().to_owned(), why }
    }

    fn explain(&self, error: &Error) -> DialError {
        match error {
            Error::Io(error) if runtime::tls::is_tls(error) => self.explain_tls(error),
            Error::Http(answer) if answer.status().as_u16() == 503 => {
                let seconds = answer
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                DialError::Busy { after: Duration::from_secs(seconds.unwrap_or(1)).min(MAX_RETRY_AFTER) }
            }
            error => DialError::NotWebSocket { url: self.proxy.to_string(), why: link::explain(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_tungstenite::tungstenite::Message;

    const DIRECT: Way = Way::Direct { because: None };

    /// Starts a TLS server for `localhost` that sends `hello` on each WebSocket. Returns its URL, its address, and the
    /// file of the certificate to trust.
    async fn server() -> (ProxyUrl, SocketAddr, tempfile::NamedTempFile) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("wss://localhost:{}", address.port());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(tls) = TlsAcceptor::from(Arc::new(config.clone())).accept(tcp).await else { continue };
                let mut ws = tokio_tungstenite::accept_async(tls).await.unwrap();
                ws.send(Message::text("hello")).await.unwrap();
                while ws.next().await.is_some_and(|message| message.is_ok()) {}
            }
        });
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), made.cert.pem()).unwrap();
        (ProxyUrl::parse(&url).unwrap(), address, roots)
    }

    fn connector(proxy: ProxyUrl, roots: &tempfile::NamedTempFile) -> Connector {
        let files = ClientFiles { roots: Some(roots.path().to_owned()), ..ClientFiles::default() };
        Connector::new(proxy, DIRECT, &files, 0).unwrap()
    }

    #[tokio::test]
    async fn a_trusted_certificate_opens_wss() {
        let (url, address, roots) = server().await;
        let mut socket = connector(url, &roots).connect(address, false).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), link::Message::Text("hello".into()));
    }

    #[tokio::test]
    async fn an_untrusted_certificate_is_refused_with_advice() {
        let (url, address, _) = server().await;
        let (_, _, others) = server().await;
        let connector = connector(url, &others);
        for _ in 0..2 {
            let error = connector.connect(address, false).await.err().unwrap();
            assert!(matches!(error, DialError::Tls { .. }), "{error}");
            assert!(error.to_string().contains("PROXY_CA_FILE, EXTRA_CA_FILE or SSL_CERT_FILE"), "{error}");
            // Invalid files change nothing.
            std::fs::write(others.path(), "rubbish").unwrap();
        }
    }

    #[tokio::test]
    async fn changed_roots_apply_to_the_next_connection() {
        let (url, address, right) = server().await;
        let (_, _, others) = server().await;
        let connector = connector(url, &others);
        assert!(connector.connect(address, false).await.is_err());
        std::fs::copy(right.path(), others.path()).unwrap();
        assert!(connector.connect(address, false).await.is_ok());
    }

    #[tokio::test]
    async fn the_error_names_a_server_that_speaks_no_websocket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("ws://{address}");
        let connector =
            Connector::new(ProxyUrl::parse(&url).unwrap(), DIRECT, &ClientFiles::default(), 0).unwrap();
        let dialing =
            tokio::spawn(async move { (connector.connect(address, false).await.err().unwrap(), connector) });
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.readable().await.unwrap();
        tcp.try_write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        let (error, connector) = dialing.await.unwrap();
        assert!(matches!(&error, DialError::NotWebSocket { why, .. } if why.contains("404")), "{error}");
        drop((tcp, listener));
        let error = connector.connect(address, false).await.err().unwrap();
        assert!(error.to_string().contains("PROXY_WS_PORT"), "{error}");
    }
}
