//! TLS of a measured proxy with a certificate of its own, and connections to it. Knows neither HTTP nor WebSocket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{BenchError, Doing, Result};

/// A certificate for 127.0.0.1 that is its own authority, with its key.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TempDir,
    trusted: Arc<ClientConfig>,
}

impl Tls {
    /// Makes one, and clients that trust it alone.
    pub(crate) fn new() -> Result<Self> {
        let failed =
            |what: &dyn std::fmt::Display| BenchError::Process(format!("making a certificate: {what}"));
        let files = tempfile::tempdir().doing("making a temporary directory")?;
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|error| failed(&error))?;
        std::fs::write(files.path().join("tls.crt"), made.cert.pem()).doing("writing a certificate")?;
        std::fs::write(files.path().join("tls.key"), made.signing_key.serialize_pem())
            .doing("writing a key")?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|error| failed(&error))?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { files, trusted: Arc::new(config) })
    }

    /// PEM file of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.files.path().join("tls.crt")
    }

    /// PEM file of its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.files.path().join("tls.key")
    }

    /// What clients connect with.
    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.trusted))
    }
}

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) tls: Option<TlsConnector>,
}

impl Target {
    /// A server without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Stream> {
        let stream = TcpStream::connect(self.address).await.doing("connecting to the measured server")?;
        stream.set_nodelay(true).doing("setting TCP_NODELAY")?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = tls.connect(name, stream).await.doing("the TLS handshake with the measured server")?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads what there is, at least a byte, or 0 at the end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        };
        read.doing("reading a response")
    }

    /// Writes all.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                let written = stream.write_all(bytes).await;
                if written.is_ok() { stream.flush().await } else { written }
            }
        };
        written.doing("sending a request")
    }
}
