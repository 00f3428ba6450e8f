//! TLS on both sides: PEM files to rustls configurations, changes of the files, and one stream type for plain and TLS.
//!
//! Knows nothing of what is spoken on the streams, but that it is HTTP/1.1 (ALPN).

mod certificate;
mod client;
mod server;
mod wire;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use certificate::{Facts, facts};
pub use client::{ClientFiles, pinned};
pub use server::{ServerFiles, ServerTls};
pub use wire::MaybeTlsStream;

/// What is agreed on by ALPN.
const ALPN: &[u8] = b"http/1.1";

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Which file is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The certificate with its chain.
    Certificate,
    /// Its key.
    Key,
    /// Trusted certificates.
    Roots,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TlsError {
    /// The file that is to be corrected.
    pub file: File,
    /// What is wrong. Never shows a key.
    pub what: String,
}

impl TlsError {
    fn new(file: File, what: impl fmt::Display) -> Self {
        Self { file, what: format!("{what}") }
    }
}

/// Whether a stream failed because of TLS: an alert of the peer's, say.
pub fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// All certificates of a PEM file, one at least.
fn certificates(path: &Path, file: File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content =
        std::fs::read(path).map_err(|error| TlsError::new(file, format!("it cannot be read: {error}")))?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let list = list.map_err(|error| TlsError::new(file, format!("it is not PEM: {error}")))?;
    if list.is_empty() {
        return Err(TlsError::new(file, "it has no PEM certificate"));
    }
    Ok(list)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = std::fs::read(path)
        .map_err(|error| TlsError::new(File::Key, format!("it cannot be read: {error}")))?;
    // The parser's words may quote what it read.
    PrivateKeyDer::from_pem_slice(&content)
        .map_err(|_| TlsError::new(File::Key, "it has no PEM private key without a password"))
}

/// Certificate and key, which must belong together.
fn identity(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(certificate, File::Certificate)?;
    let key = private_key(key)?;
    match rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()) {
        Ok(_) => Ok((chain, key)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::new(File::Key, "it is not the key of the certificate"))
        }
        Err(rustls::Error::InvalidCertificate(error)) => {
            Err(TlsError::new(File::Certificate, format!("the certificate is invalid: {error:?}")))
        }
        Err(_) => Err(TlsError::new(File::Key, "its kind of key cannot be used: take ECDSA P-256 or RSA")),
    }
}

/// Everything that is wrong with certificate and key.
fn faults(certificate: &Path, key: &Path) -> Vec<TlsError> {
    let each = [certificates(certificate, File::Certificate).err(), private_key(key).err()];
    let found: Vec<TlsError> = each.into_iter().flatten().collect();
    if found.is_empty() { identity(certificate, key).err().into_iter().collect() } else { found }
}

/// Trusted certificates of a PEM file.
fn roots(path: &Path) -> Result<rustls::RootCertStore, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path, File::Roots)? {
        roots.add(certificate).map_err(|error| {
            TlsError::new(File::Roots, format!("a certificate in it cannot be used: {error}"))
        })?;
    }
    Ok(roots)
}
