//! The server's side: its certificate, whom it trusts as clients, and their changes. Connections of before stay.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{
    ALPN, Facts, File, HANDSHAKE_TIME, MaybeTlsStream, TlsError, facts, faults, identity, provider, roots,
};
use crate::follow::{ReloadSignal, WatchedFile};

/// How long a peer may take to read why its handshake failed.
const PARTING: Duration = Duration::from_secs(1);

/// How often the time that is left is told.
const TELL: Duration = Duration::from_secs(15);

/// PEM files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Its certificate, and the chain below it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom clients' certificates must come from; `None`: clients need none.
    pub client_roots: Option<PathBuf>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    facts: Facts,
}

/// A server's TLS as its files say now.
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
    /// What is wrong with each file. Blocks.
    pub fn check(&self) -> Vec<TlsError> {
        let roots = self.client_roots.iter().filter_map(|path| roots(path).err());
        let mut found: Vec<TlsError> =
            faults(&self.certificate, &self.key).into_iter().chain(roots).collect();
        if found.is_empty() {
            found.extend(self.load().err());
        }
        found
    }

    fn load(&self) -> Result<Loaded, TlsError> {
        let (chain, key) = identity(&self.certificate, &self.key)?;
        let facts = facts(&chain)?;
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
        Ok(Loaded { config: Arc::new(config), facts })
    }
}

impl ServerTls {
    /// Reads the files. Blocks.
    pub fn load(files: ServerFiles) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(files.load()?);
        Ok(Arc::new(Self { files, current }))
    }

    /// Facts of the certificate.
    pub fn facts(&self) -> Facts {
        self.current.load().facts.clone()
    }

    /// Shakes hands, within [`HANDSHAKE_TIME`]. Dropping it closes the connection.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<MaybeTlsStream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        match timeout(HANDSHAKE_TIME, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => Ok(MaybeTlsStream::tls(stream)),
            Ok(Err((error, stream))) => {
                part(stream).await;
                Err(error)
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time")),
        }
    }

    /// Reads the files again when one changes, until it is dropped. `told` hears of each time (`Some`), and regularly
    /// of the certificate that is in use.
    pub async fn follow(
        self: Arc<Self>,
        hangups: ReloadSignal,
        mut told: impl FnMut(Option<Result<(), TlsError>>, &Facts) + Send,
    ) {
        let files = [Some(&self.files.certificate), Some(&self.files.key), self.files.client_roots.as_ref()];
        let mut followed: Vec<WatchedFile> = files
            .into_iter()
            .flatten()
            .map(|path| WatchedFile::new(path, std::fs::read(path).ok().as_deref(), hangups.clone()))
            .collect();
        let mut tell = tokio::time::interval(TELL);
        loop {
            let news = tokio::select! {
                () = any_change(&mut followed) => Some(self.reload()),
                _ = tell.tick() => None,
            };
            told(news, &self.facts());
        }
    }

    fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(self.files.load()?));
        Ok(())
    }
}

/// Closes so that the peer can read why: a socket that is dropped with something unread resets the connection.
async fn part(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    let parting = async {
        stream.shutdown().await?;
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the peer reads it is the peer's affair.
    let _ = timeout(PARTING, parting).await;
}

/// One of them changed, went or came back.
async fn any_change(followed: &mut [WatchedFile]) {
    let waits = followed.iter_mut().map(|file| Box::pin(file.changed()));
    let mut waits: Vec<_> = waits.collect();
    std::future::poll_fn(|cx| {
        let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Whether a certificate ends within `span`.
impl Facts {
    /// Whether less than this is left.
    pub fn ends_within(&self, span: Duration) -> bool {
        self.seconds_left(SystemTime::now()) < span.as_secs_f64()
    }
}
