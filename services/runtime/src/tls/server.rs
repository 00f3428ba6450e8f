//! TLS of a server: its certificate, the authorities of clients, and their reload when the files change. Open
//! connections keep the configuration that they began with. Must not know what is served.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
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

/// Which clients present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presenting {
    /// All: the handshake fails without one.
    Required,
    /// Those that have one. One that is no good fails the handshake.
    Optional,
}

/// PEM files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// Authorities of clients' certificates; `None`: clients are asked for none.
    pub client_roots: Option<PathBuf>,
    /// Authorities of further peers, which are no clients, on the same port.
    pub other_roots: Option<PathBuf>,
    /// Which clients present a certificate.
    pub presenting: Presenting,
}

struct Loaded {
    config: Arc<ServerConfig>,
    info: CertificateInfo,
    /// Checks certificates of clients alone; `None`: there are none.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// The TLS configuration of a server, read again when its files change.
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<Loaded>,
    /// Number of the reading of the files that is in use, from 1 on.
    readings: watch::Sender<u64>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.files.fmt(f)
    }
}

impl ServerFiles {
    /// Checks each file; returns all problems. Blocks on file access.
    pub fn check(&self) -> Vec<TlsError> {
        let named = self.client_roots.iter().chain(&self.other_roots);
        let roots = named.filter_map(|path| roots(path).err());
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
        let clients = self.client_roots.as_deref().map(roots).transpose()?;
        let mut accepted = clients.clone();
        if let Some(path) = &self.other_roots {
            accepted.get_or_insert_with(RootCertStore::empty).extend(roots(path)?.roots);
        }
        let clients = clients.map(|roots| verifier(roots, self.presenting)).transpose()?;
        let builder = match accepted {
            None => builder.with_no_client_auth(),
            Some(accepted) => builder.with_client_cert_verifier(verifier(accepted, self.presenting)?),
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| TlsError::new(File::Certificate, error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Loaded { config: Arc::new(config), info, clients })
    }
}

fn verifier(roots: RootCertStore, presenting: Presenting) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = match presenting {
        Presenting::Required => builder,
        Presenting::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| TlsError::new(File::Roots, error))
}

impl ServerTls {
    /// Reads the files. Blocks on file access.
    pub fn load(files: ServerFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(files.load()?);
        Ok(Arc::new(Self { files, current, readings: watch::Sender::new(1) }))
    }

    /// Returns the certificate in use.
    pub fn certificate(&self) -> CertificateInfo {
        self.current.load().info.clone()
    }

    /// Returns whether clients are asked for a certificate.
    pub(super) fn asks_clients(&self) -> bool {
        self.files.client_roots.is_some()
    }

    /// Returns whether each client needs a certificate.
    pub fn requires_certificates(&self) -> bool {
        self.files.client_roots.is_some() && self.files.presenting == Presenting::Required
    }

    /// Returns whether a stream, of this or another port, shows a certificate that a client may present here.
    pub fn accepts_client_of(&self, stream: &MaybeTlsStream) -> bool {
        self.is_client(stream.peer_certificates())
    }

    /// Returns whether a chain of certificates is one of a client, at present.
    pub(super) fn is_client(&self, chain: &[CertificateDer<'_>]) -> bool {
        let (current, Some((own, intermediates))) = (self.current.load(), chain.split_first()) else {
            return false;
        };
        let clients = current.clients.as_ref();
        clients.is_some_and(|known| known.verify_client_cert(own, intermediates, UnixTime::now()).is_ok())
    }

    /// Returns the number of the reading of the files that is in use.
    pub(super) fn reading(&self) -> u64 {
        *self.readings.borrow()
    }

    /// Returns a receiver that sees each further reading of the files.
    pub(super) fn readings(&self) -> watch::Receiver<u64> {
        self.readings.subscribe()
    }

    /// Runs the server's handshake, within [`HANDSHAKE_TIMEOUT`]. Dropping the future closes the connection.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<MaybeTlsStream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => Ok(MaybeTlsStream::accepted(stream)),
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
        let ServerFiles { certificate, key, client_roots, other_roots, .. } = &self.files;
        let files = [Some(certificate), Some(key), client_roots.as_ref(), other_roots.as_ref()];
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
        self.readings.send_modify(|reading| *reading += 1);
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
