//! TLS of a server: its certificate, the authorities of clients, and their reload when the files change. Open
//! connections keep the configuration that they began with. Must not know what is served.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificate::{CertificateInfo, certificate_info};
use super::files::{ALPN, File, HANDSHAKE_TIMEOUT, TlsError, check_identity, identity, provider, roots};
use super::stream::MaybeTlsStream;
use crate::follow::{ReloadSignal, WatchedFile};

/// Time limit for a peer to read the alert of a failed handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two reports of the certificate in use.
const REPORT_INTERVAL: Duration = Duration::from_secs(15);

/// PEM files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// Authorities of clients' certificates; `None`: clients need no certificate.
    pub client_roots: Option<PathBuf>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    info: CertificateInfo,
}

/// The TLS configuration of a server, read again when its files change.
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<Loaded>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.files.fmt(f)
    }
}

impl ServerFiles {
    /// Checks each file; returns all problems. Blocks on file access.
    pub fn check(&self) -> Vec<TlsError> {
        let roots = self.client_roots.iter().filter_map(|path| roots(path).err());
        let mut found: Vec<TlsError> =
            check_identity(&self.certificate, &self.key).into_iter().chain(roots).collect();
        if found.is_empty() {
            found.extend(self.load().err());
        }
        found
    }

    fn load(&self) -> Result<Loaded, TlsError> {
        let (chain, key) = identity(&self.certificate, &self.key)?;
        let info = certificate_info(&chain)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(File::Certificate, error))?;
        let builder = match &self.client_roots {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider()).build();
                builder
                    .with_client_cert_verifier(verifier.map_err(|error| TlsError::new(File::Roots, error))?)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| TlsError::new(File::Certificate, error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Loaded { config: Arc::new(config), info })
    }
}

impl ServerTls {
    /// Reads the files. Blocks on file access.
    pub fn load(files: ServerFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(files.load()?);
        Ok(Arc::new(Self { files, current }))
    }

    /// Returns the certificate in use.
    pub fn certificate(&self) -> CertificateInfo {
        self.current.load().info.clone()
    }

    /// Runs the server's handshake, within [`HANDSHAKE_TIMEOUT`]. Dropping the future closes the connection.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<MaybeTlsStream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => Ok(MaybeTlsStream::tls(stream)),
            Ok(Err((error, stream))) => {
                close(stream).await;
                Err(error)
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time")),
        }
    }

    /// Reads the files again when one changes, until the future is dropped. `report` is called after each reading (`Some`),
    /// and every 15 s with the certificate in use.
    pub async fn follow(
        self: Arc<Self>,
        reload: ReloadSignal,
        mut report: impl FnMut(Option<Result<(), TlsError>>, &CertificateInfo) + Send,
    ) {
        let files = [Some(&self.files.certificate), Some(&self.files.key), self.files.client_roots.as_ref()];
        let mut watched: Vec<WatchedFile> = files
            .into_iter()
            .flatten()
            .map(|path| WatchedFile::new(path, std::fs::read(path).ok().as_deref(), reload.clone()))
            .collect();
        let mut ticks = tokio::time::interval(REPORT_INTERVAL);
        loop {
            let outcome = tokio::select! {
                () = any_change(&mut watched) => Some(self.reload()),
                _ = ticks.tick() => None,
            };
            report(outcome, &self.certificate());
        }
    }

    fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(self.files.load()?));
        Ok(())
    }
}

/// Closes the connection so that the peer can read the alert: dropping a socket with unread bytes would reset it.
async fn close(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    let closing = async {
        stream.shutdown().await?;
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // A peer that does not read the alert gets a reset.
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
}

/// Waits until a file changes, is removed or comes back.
async fn any_change(watched: &mut [WatchedFile]) {
    let waits = watched.iter_mut().map(|file| Box::pin(file.changed()));
    let mut waits: Vec<_> = waits.collect();
    std::future::poll_fn(|cx| {
        let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
