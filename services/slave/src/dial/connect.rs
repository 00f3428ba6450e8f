//! A WebSocket to the proxy: TCP, TLS for `wss`, opening handshake, with every limit set. Must not know the link.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use protocol::limits::MAX_BATCH;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_tls_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::config::ProxyUrl;
use crate::link::meter::Metered;
use crate::link::socket::Socket;

/// How long TCP, TLS and the opening handshake may take together.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Bytes read at once; allocated for as long as the link is up.
const READ_BUFFER: usize = 16 * 1024;

/// Bytes collected before they are written. Every batch is flushed anyway.
const WRITE_BUFFER: usize = 16 * 1024;

/// Why there is no connection; says what to check.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP.
    #[error(
        "cannot reach {host}:{port}: {source}. Check that the proxy runs, that PROXY_SERVER_URL names its WebSocket port (PROXY_WS_PORT), and that no firewall is in between"
    )]
    Connect {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// Its port.
        port: u16,
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
        "TLS to {host} failed: {why}. Check the proxy's certificate; SSL_CERT_FILE names a file of further trusted roots"
    )]
    Tls {
        /// Host of `PROXY_SERVER_URL`.
        host: String,
        /// What is wrong.
        why: String,
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
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// Reads the system's trusted roots where the URL asks for TLS.
    pub(super) fn new(proxy: ProxyUrl, max_message: usize) -> Result<Self, DialError> {
        let tls = if proxy.is_tls() { Some(trusting(&proxy)?) } else { None };
        let max_message = max_message.max(MAX_BATCH);
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            // One message at a time is written; pings and closes come on top.
            .max_write_buffer_size(max_message + WRITE_BUFFER + MAX_BATCH)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        Ok(Self { proxy, limits, tls })
    }

    /// `PROXY_SERVER_URL`.
    pub(super) fn url(&self) -> &ProxyUrl {
        &self.proxy
    }

    /// Dials once. Cancel safe: dropping it closes what was opened.
    pub(super) async fn connect(&self) -> Result<Socket, DialError> {
        let late = |_| Err(DialError::Timeout { url: self.proxy.to_string() });
        tokio::time::timeout(CONNECT_TIME, self.dial()).await.unwrap_or_else(late)
    }

    async fn dial(&self) -> Result<Socket, DialError> {
        let (host, port) = (self.proxy.host(), self.proxy.port());
        let refused = |source| DialError::Connect { host: host.to_owned(), port, source };
        let tcp = TcpStream::connect((host, port)).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        let connector = match &self.tls {
            Some(tls) => tokio_tungstenite::Connector::Rustls(Arc::clone(tls)),
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
            Error::Io(error) if is_tls(error) => DialError::Tls { host: host(), why: error.to_string() },
            error => DialError::NotWebSocket { url: self.proxy.to_string(), why: error.to_string() },
        }
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// Trusts what the system trusts.
fn trusting(proxy: &ProxyUrl) -> Result<Arc<ClientConfig>, DialError> {
    let failed = |why: String| DialError::Tls { host: proxy.host().to_owned(), why };
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(failed(format!("this system has no trusted root certificates ({})", errors.join("; "))));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
