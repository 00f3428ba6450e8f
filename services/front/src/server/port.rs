//! A listening port: accepts connections, with or without TLS. Must not know what is served on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime::tls::{ClientCertificate, MaybeTlsStream, ServerTls, TlsPeer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::limits::HEADER_TIMEOUT;
use super::upgrade::Upgrades;
use super::user_timeout;

/// How much later than we the system gives up a connection: only where it alone can know that nothing is taken.
const SYSTEM_MARGIN: Duration = Duration::from_secs(2);

/// How long a failed `accept` is followed by none.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A listening port.
#[derive(Debug)]
pub struct Port {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Arc<ServerTls>>,
    /// Requests that turn their connection into something else.
    pub(super) upgrades: Option<Upgrades>,
}

/// A connection that was accepted, before its TLS handshake.
pub(super) struct Accepted {
    stream: TcpStream,
    tls: Option<Arc<ServerTls>>,
    /// The client's address.
    pub(super) peer: IpAddr,
}

/// A connection after its TLS handshake, if it has one.
pub(super) struct Opened {
    pub(super) stream: MaybeTlsStream,
    /// What the client showed.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
}

impl Port {
    /// A port that speaks TLS, if `tls` is given.
    pub fn new(listener: TcpListener, tls: Option<Arc<ServerTls>>) -> Self {
        Self { listener, tls, upgrades: None }
    }

    /// Returns the same port, on which these requests turn their connection into something else.
    #[must_use]
    pub fn with_upgrades(self, upgrades: Option<Upgrades>) -> Self {
        Self { upgrades, ..self }
    }

    /// Accepts the next connection. Cancel safe.
    pub(super) async fn accept(&self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return Accepted { stream, tls: self.tls.clone(), peer: peer.ip() },
                Err(error) => {
                    // As a rule, no file descriptors are left: wait for some to be closed rather than spin.
                    tracing::warn!("Cannot accept a client connection: {error}");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }
}

impl From<TcpListener> for Port {
    /// A port without TLS.
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, None)
    }
}

impl Accepted {
    /// Returns the stream before anything was read, if the port speaks no TLS.
    pub(super) fn into_plain(self) -> Option<TcpStream> {
        self.tls.is_none().then_some(self.stream)
    }

    /// Performs the TLS handshake, if the port speaks TLS. `None` if that fails or takes longer than
    /// [`HEADER_TIMEOUT`].
    ///
    /// The system gives the connection up when what was written waits a little longer than `stall` without being taken: also where it has
    /// buffers that hold all of it, so that no write of ours is ever blocked.
    pub(super) async fn handshake(self, stall: Duration) -> Option<Opened> {
        // Answers are small and wanted at once; a socket that refuses the options still works.
        let _ = self.stream.set_nodelay(true);
        user_timeout::set(&self.stream, Some(stall + SYSTEM_MARGIN));
        match self.tls {
            None => Some(Opened { stream: self.stream.into(), certificate: None }),
            Some(tls) => {
                // Boxed, since the connection's task outlives it.
                let accept = Box::pin(tls.accept(self.stream));
                let accepted = timeout(HEADER_TIMEOUT, accept).await.ok()?;
                let explained = |error: std::io::Error| {
                    let failure = runtime::tls::explain(&error, TlsPeer::Client { encrypted: "https://" });
                    tracing::debug!("A client's TLS failed: {failure}");
                };
                let stream = accepted.map_err(explained).ok()?;
                let certificate = ClientCertificate::of(&stream, tls).map(Arc::new);
                Some(Opened { stream, certificate })
            }
        }
    }
}
