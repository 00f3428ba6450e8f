//! The certificate that a client presented to a server: the names in it, and how long it holds. Must not know what it is good for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use tokio::time::sleep;

use super::certificate::{holder_names, last_second};
use super::server::ServerTls;
use super::stream::MaybeTlsStream;

/// What certificates of clients are good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateUse {
    /// Whoever shows one needs neither key nor token.
    #[default]
    Accepted,
    /// Each client has to show one, besides a key or token where there are some.
    Required,
}

/// Names that a certificate may have.
const MAX_NAMES: usize = 16;

/// Length of a name, in bytes.
const MAX_NAME: usize = 255;

/// Longest time between two looks at the clock, which may be set while the process waits.
const CLOCK_INTERVAL: Duration = Duration::from_secs(5);

/// A client's certificate, whose key the client has proved to hold. It may have ended since: see [`Self::is_valid`].
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    names: Vec<String>,
    /// The last second, since 1970, in which all of the chain is valid.
    last_second: u64,
    server: Arc<ServerTls>,
    /// The reading of the authorities by which the chain was found valid.
    checked: AtomicU64,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ClientCertificate {
    /// The certificate that the client of a stream presented to `server`; `None`: none, or clients are asked for none.
    pub fn of(stream: &MaybeTlsStream, server: Arc<ServerTls>) -> Option<Self> {
        let chain = stream.peer_certificates();
        let is_presented = !chain.is_empty() && server.asks_clients();
        is_presented.then(|| Self::new(chain.iter().map(|one| one.clone().into_owned()).collect(), server))
    }

    /// The certificate at the head of a chain that was presented to `server`.
    fn new(chain: Vec<CertificateDer<'static>>, server: Arc<ServerTls>) -> Self {
        let names = holder_names(&chain).filter(|names| {
            !names.is_empty() && names.len() <= MAX_NAMES && names.iter().all(|name| name.len() <= MAX_NAME)
        });
        // What names nobody, or more than can be passed on, has never been valid.
        let last_second = names.as_ref().map_or(0, |_| last_second(&chain));
        Self { chain, names: names.unwrap_or_default(), last_second, server, checked: AtomicU64::new(0) }
    }

    /// The alternative names of the subject (DNS names, addresses, e-mail addresses, URIs), else its common name. Never empty where the
    /// certificate is valid.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns whether the certificate holds now, by the clock and by the clients' authorities of now.
    pub fn is_valid(&self) -> bool {
        if now() > self.last_second {
            return false;
        }
        let reading = self.server.reading();
        if self.checked.load(Ordering::Relaxed) == reading {
            return true;
        }
        let is_valid = self.server.is_client(&self.chain);
        if is_valid {
            self.checked.store(reading, Ordering::Relaxed);
        }
        is_valid
    }

    /// Waits until the certificate does not hold any more. Cancel safe.
    pub async fn ended(&self) {
        let mut readings = self.server.readings();
        while self.is_valid() {
            let left = Duration::from_secs((self.last_second + 1).saturating_sub(now()));
            tokio::select! {
                () = sleep(left.min(CLOCK_INTERVAL)) => {}
                // The server lives as long as this certificate.
                _ = readings.changed() => {}
            }
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
