//! A forward proxy: connections to it, and tunnels through it. Must not know which servers they are for.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::header::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::answer::{Credentials, read_answer};
use super::fault::{WayFault, WayFaultKind};
use super::proxy_url::{ProxyUrl, ProxyUrlError};
use crate::io_fault::describe;
use crate::tls::{self, ClientFiles, MaybeTlsStream, TlsPeer};

/// Longest time for TCP and TLS to the proxy, and the same for its answer, which waits for the server. Below the limits of those
/// who connect, so that the error names the proxy.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);

/// A forward proxy that a variable names. Cheap to clone.
#[derive(Clone)]
pub struct ForwardProxy(Arc<Inner>);

struct Inner {
    url: ProxyUrl,
    variable: &'static str,
    extra_roots: Option<PathBuf>,
    /// TLS to the proxy, read when it is first used.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl fmt::Debug for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForwardProxy({self} of {})", self.variable())
    }
}

impl fmt::Display for ForwardProxy {
    /// Writes scheme, host and port: no credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxyUrl { is_tls, host, port, .. } = &self.0.url;
        write!(f, "{}://{host}:{port}", if *is_tls { "https" } else { "http" })
    }
}

impl ForwardProxy {
    /// Reads the URL of a forward proxy: `http://` or `https://`, or neither for the former, with Basic credentials or without.
    /// `extra_roots` is a PEM file of authorities that are trusted beside the system's for TLS to the proxy.
    ///
    /// # Errors
    /// The URL cannot be used. The error has no part of it.
    pub fn parse(
        text: &str,
        variable: &'static str,
        extra_roots: Option<PathBuf>,
    ) -> Result<Self, ProxyUrlError> {
        let url = ProxyUrl::parse(text)?;
        Ok(Self(Arc::new(Inner { url, variable, extra_roots, tls: OnceLock::new() })))
    }

    /// Returns the variable that names the proxy.
    pub fn variable(&self) -> &'static str {
        self.0.variable
    }

    /// Returns the proxy's name or address (IPv6 without brackets) and port.
    pub fn address(&self) -> (&str, u16) {
        let host = self.0.url.host.as_str();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(host), self.0.url.port)
    }

    /// Returns the credentials as a header's value, marked as sensitive.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.url.authorization.as_ref()
    }

    /// Builds the failure of a way through this proxy to `target`.
    pub fn fault(&self, target: &str, kind: WayFaultKind) -> WayFault {
        WayFault { proxy: self.to_string(), variable: self.variable(), target: target.to_owned(), kind }
    }

    /// Connects to the proxy, which then reads requests. Cancel safe.
    ///
    /// # Errors
    /// There is no connection to the proxy. `target` is the server of the error.
    pub async fn connect(&self, target: &str) -> Result<MaybeTlsStream, WayFault> {
        let connecting = async {
            let stream = TcpStream::connect(self.address()).await;
            self.encrypt(stream.map_err(|error| self.unreachable(&error))?).await
        };
        self.in_time(connecting).await.map_err(|kind| self.fault(target, kind))
    }

    /// Opens a tunnel to `target`, `host:port` with IPv6 in brackets. Cancel safe.
    ///
    /// # Errors
    /// The proxy cannot be reached, or opens no tunnel.
    pub async fn open(&self, target: &str) -> Result<MaybeTlsStream, WayFault> {
        let stream = self.connect(target).await?;
        self.tunnel(stream, target).await
    }

    /// Opens a tunnel to `target` over a TCP connection to one of the proxy's addresses. Cancel safe.
    ///
    /// # Errors
    /// TLS to the proxy fails, or it opens no tunnel.
    pub async fn open_over(&self, stream: TcpStream, target: &str) -> Result<MaybeTlsStream, WayFault> {
        let stream = self.in_time(self.encrypt(stream)).await.map_err(|kind| self.fault(target, kind))?;
        self.tunnel(stream, target).await
    }

    /// Returns the failure of a TCP connection to the proxy.
    pub fn unreachable(&self, error: &io::Error) -> WayFaultKind {
        let why = describe(error);
        let is_lookup = error.raw_os_error().is_none() && error.kind() != io::ErrorKind::TimedOut;
        if is_lookup { WayFaultKind::Unresolved(why) } else { WayFaultKind::Unreachable(why) }
    }

    async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, WayFaultKind>>,
    ) -> Result<T, WayFaultKind> {
        let late = |_| {
            let why = format!(
                "no connection within {} s (a firewall may drop the packets)",
                STEP_TIMEOUT.as_secs()
            );
            Err(WayFaultKind::Unreachable(why))
        };
        tokio::time::timeout(STEP_TIMEOUT, step).await.unwrap_or_else(late)
    }

    /// Runs the TLS handshake with the proxy where its URL requires TLS.
    async fn encrypt(&self, stream: TcpStream) -> Result<MaybeTlsStream, WayFaultKind> {
        // Messages are to arrive at once; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        if !self.0.url.is_tls {
            return Ok(MaybeTlsStream::from(stream));
        }
        let (host, _) = self.address();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            WayFaultKind::Tls(
                "its host is no name that a certificate can have".into(),
                format!("use a host name in {}", self.variable()),
            )
        })?;
        match MaybeTlsStream::connect(self.tls()?, name, stream).await {
            Ok(stream) => Ok(stream),
            Err(error) => {
                let roots = "EXTRA_CA_FILE or SSL_CERT_FILE";
                let peer =
                    TlsPeer::Server { host, roots, identity: None, plain: "http://", protocol: "http/1.1" };
                let failure = tls::explain(&error, peer);
                Err(WayFaultKind::Tls(failure.what, failure.fix))
            }
        }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, WayFaultKind> {
        if let Some(config) = self.0.tls.get() {
            return Ok(Arc::clone(config));
        }
        let files = ClientFiles { extra_roots: self.0.extra_roots.clone(), ..ClientFiles::default() };
        let config = files.load().map_err(|error| {
            WayFaultKind::Tls(
                error.to_string(),
                "name a PEM file of the proxy's authority in EXTRA_CA_FILE".into(),
            )
        })?;
        Ok(Arc::clone(self.0.tls.get_or_init(|| config)))
    }

    async fn tunnel(&self, mut stream: MaybeTlsStream, target: &str) -> Result<MaybeTlsStream, WayFault> {
        let late = Err(WayFaultKind::Silent(STEP_TIMEOUT.as_secs()));
        let asked = tokio::time::timeout(STEP_TIMEOUT, self.ask(&mut stream, target)).await;
        asked.unwrap_or(late).map_err(|kind| self.fault(target, kind))?;
        Ok(stream)
    }

    async fn ask(&self, stream: &mut MaybeTlsStream, target: &str) -> Result<(), WayFaultKind> {
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        let credentials = match self.authorization() {
            Some(authorization) => {
                head.extend_from_slice(b"Proxy-Authorization: ");
                head.extend_from_slice(authorization.as_bytes());
                head.extend_from_slice(b"\r\n");
                Credentials::Sent
            }
            None => Credentials::None,
        };
        head.extend_from_slice(b"\r\n");
        let broken = |error: io::Error| WayFaultKind::Broken(describe(&error));
        stream.write_all(&head).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        read_answer(stream, credentials).await
    }
}
