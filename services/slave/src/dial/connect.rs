//! A WebSocket to the proxy: TCP, TLS for `wss`, opening handshake, with every limit set. Must not know the link.

use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::link::limits::MAX_BATCH;
use runtime::tls::{ClientFiles, TlsError};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_tls_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::config::ProxyUrl;
use crate::link::meter::Metered;
use crate::link::socket::Socket;

/// How long TCP, TLS and the opening handshake may take together.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// The longest time that a proxy can keep us away with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Bytes read at once; allocated for as long as the link is up.
const READ_BUFFER: usize = 16 * 1024;

/// Bytes collected before they are written. Every batch is flushed anyway.
const WRITE_BUFFER: usize = 16 * 1024;

/// Why there is no connection; says what to check.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP.
    #[error(
        "cannot reach {host}:{port} ({address}): {source}. Check that the proxy runs, that PROXY_SERVER_URL names its WebSocket port (PROXY_WS_PORT), and that no firewall is in between"
    )]
    Connect {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// Its port.
        port: u16,
        /// What was dialed.
        address: IpAddr,
        /// What the system says.
        source: io::Error,
    },
    /// TCP, TLS and opening handshake took too long.
    #[error("no WebSocket to {url} within {} s. Check that PROXY_SERVER_URL names the proxy's WebSocket port, and that no firewall drops the packets", CONNECT_TIME.as_secs())]
    Timeout {
        /// `PROXY_SERVER_URL`.
        url: String,
    },
    /// TLS.
    #[error(
        "TLS to {host} failed: {why}. Check the proxy's certificate: PROXY_CA_FILE (or SSL_CERT_FILE) names a file of trusted roots. A proxy that asks for a certificate needs PROXY_CLIENT_CERT and PROXY_CLIENT_KEY, issued by one of its TLS_CLIENT_CA"
    )]
    Tls {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// The proxy lets no more in at the moment.
    #[error("the proxy has too many new connections (HANDSHAKE_RATE): it asks to come again in {} s", after.as_secs())]
    Busy {
        /// How long to stay away at least.
        after: Duration,
    },
    /// The server is none, or not a proxy's WebSocket port.
    #[error(
        "{url} is no WebSocket server: {why}. Check that PROXY_SERVER_URL names the proxy's WebSocket port, not its HTTP port, and ws:// or wss:// as the server has it"
    )]
    NotWebSocket {
        /// `PROXY_SERVER_URL`.
        url: String,
        /// What it said.
        why: String,
    },
}

/// Makes connections to one proxy.
pub(super) struct Connector {
    proxy: ProxyUrl,
    limits: WebSocketConfig,
    tls: Option<Tls>,
}

/// TLS as its files said when they could be used last.
struct Tls {
    files: ClientFiles,
    last: Mutex<Arc<ClientConfig>>,
}

impl Tls {
    fn new(files: ClientFiles) -> Result<Self, TlsError> {
        let last = Mutex::new(files.load()?);
        Ok(Self { files, last })
    }

    /// What the files say now. They are small and on this machine: reading them waits for nothing.
    fn now(&self) -> Arc<ClientConfig> {
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
    /// Reads the trusted roots where the URL asks for TLS. `max_message` is the longest message in bytes that is read or
    /// written.
    pub(super) fn new(proxy: ProxyUrl, files: &ClientFiles, max_message: usize) -> Result<Self, DialError> {
        let failed =
            |error: TlsError| DialError::Tls { host: proxy.host().to_owned(), why: error.to_string() };
        let tls = proxy.is_tls().then(|| Tls::new(files.clone())).transpose().map_err(failed)?;
        Ok(Self { proxy, limits: limits(max_message), tls })
    }

    /// `PROXY_SERVER_URL`.
    pub(super) fn url(&self) -> &ProxyUrl {
        &self.proxy
    }

    /// Dials one address of the URL's host once. Cancel safe: dropping it closes what was opened.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Socket, DialError> {
        let late = |_| Err(DialError::Timeout { url: self.proxy.to_string() });
        tokio::time::timeout(CONNECT_TIME, self.dial(address)).await.unwrap_or_else(late)
    }

    async fn dial(&self, address: SocketAddr) -> Result<Socket, DialError> {
        let (host, port) = (self.proxy.host(), self.proxy.port());
        let refused =
            |source| DialError::Connect { host: host.to_owned(), port, address: address.ip(), source };
        let tcp = TcpStream::connect(address).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        let connector = match &self.tls {
            Some(tls) => tokio_tungstenite::Connector::Rustls(tls.now()),
            None => tokio_tungstenite::Connector::Plain,
        };
        let url = self.proxy.url().as_str();
        let opening =
            client_async_tls_with_config(url, Metered::new(tcp), Some(self.limits), Some(connector));
        let (stream, _response) = opening.await.map_err(|error| self.explain(&error))?;
        Ok(Socket::new(stream))
    }

    fn explain(&self, error: &Error) -> DialError {
        let host = || self.proxy.host().to_owned();
        match error {
            Error::Tls(error) => DialError::Tls { host: host(), why: error.to_string() },
            Error::Io(error) if runtime::tls::is_tls(error) => {
                DialError::Tls { host: host(), why: error.to_string() }
            }
            Error::Http(answer) if answer.status().as_u16() == 503 => {
                let seconds = answer
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                DialError::Busy { after: Duration::from_secs(seconds.unwrap_or(1)).min(LONGEST_WAIT) }
            }
            error => DialError::NotWebSocket { url: self.proxy.to_string(), why: error.to_string() },
        }
    }
}

/// All four limits, of which tungstenite's own defaults are too large or unbounded.
fn limits(max_message: usize) -> WebSocketConfig {
    let max_message = max_message.max(MAX_BATCH);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // One message at a time is written; pings and closes come on top.
        .max_write_buffer_size(max_message + WRITE_BUFFER + MAX_BATCH)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_tungstenite::tungstenite::Message;

    /// A TLS server for `localhost` that says `hello` to each WebSocket; its URL, and the file of the certificate to trust.
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
        let files = ClientFiles { roots: Some(roots.path().to_owned()), identity: None };
        Connector::new(proxy, &files, 0).unwrap()
    }

    #[tokio::test]
    async fn a_trusted_certificate_opens_wss() {
        let (url, address, roots) = server().await;
        let mut socket = connector(url, &roots).connect(address).await.unwrap();
        let mut inbox = Vec::new();
        socket.io(&mut inbox).await.unwrap();
        assert_eq!(inbox, [Message::text("hello")]);
    }

    #[tokio::test]
    async fn an_unknown_certificate_is_refused_with_advice() {
        let (url, address, _) = server().await;
        let (_, _, others) = server().await;
        let connector = connector(url, &others);
        for _ in 0..2 {
            let error = connector.connect(address).await.err().unwrap();
            assert!(matches!(error, DialError::Tls { .. }), "{error}");
            assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
            // What cannot be used changes nothing.
            std::fs::write(others.path(), "rubbish").unwrap();
        }
    }

    #[tokio::test]
    async fn roots_that_changed_count_at_the_next_connection() {
        let (url, address, right) = server().await;
        let (_, _, others) = server().await;
        let connector = connector(url, &others);
        assert!(connector.connect(address).await.is_err());
        std::fs::copy(right.path(), others.path()).unwrap();
        assert!(connector.connect(address).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_websocket_server_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("ws://{address}");
        let connector = Connector::new(ProxyUrl::parse(&url).unwrap(), &ClientFiles::default(), 0).unwrap();
        let dialing =
            tokio::spawn(async move { (connector.connect(address).await.err().unwrap(), connector) });
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.readable().await.unwrap();
        tcp.try_write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        let (error, connector) = dialing.await.unwrap();
        assert!(matches!(&error, DialError::NotWebSocket { why, .. } if why.contains("404")), "{error}");
        drop((tcp, listener));
        let error = connector.connect(address).await.err().unwrap();
        assert!(error.to_string().contains("PROXY_WS_PORT"), "{error}");
    }
}
