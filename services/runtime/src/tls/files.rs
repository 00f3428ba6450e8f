//! PEM files of certificates and keys, and the errors that name the file at fault. Must not know servers or clients.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::io_fault::describe;

/// The application protocol that ALPN agrees on.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// Time limit of a TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The use of a configured file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The certificate with its chain.
    Certificate,
    /// The key of the certificate.
    Key,
    /// Trusted certificates.
    Roots,
}

/// The reason that TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TlsError {
    /// The file to correct.
    pub file: File,
    /// The problem. Never shows a key.
    pub what: String,
}

impl TlsError {
    pub(super) fn new(file: File, what: impl fmt::Display) -> Self {
        Self { file, what: format!("{what}") }
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn unreadable(file: File, error: &std::io::Error) -> TlsError {
    TlsError::new(file, format!("it cannot be read: {}", describe(error)))
}

/// Reads all certificates of a PEM file; a file without any is an error.
pub(super) fn certificates(path: &Path, file: File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = std::fs::read(path).map_err(|error| unreadable(file, &error))?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let list = list.map_err(|error| TlsError::new(file, format!("it is not PEM: {error}")))?;
    if list.is_empty() {
        return Err(TlsError::new(file, "it has no PEM certificate"));
    }
    Ok(list)
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = std::fs::read(path).map_err(|error| unreadable(File::Key, &error))?;
    // The parser's own message may quote the file.
    PrivateKeyDer::from_pem_slice(&content)
        .map_err(|_| TlsError::new(File::Key, "it has no PEM private key without a password"))
}

/// Reads a certificate chain and its key, and checks that they belong together.
pub(super) fn identity(
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
        Err(rustls::Error::InvalidCertificate(error)) => Err(TlsError::new(
            File::Certificate,
            format!("the certificate cannot be used: {}", super::explain::certificate_fault(&error)),
        )),
        Err(_) => Err(TlsError::new(File::Key, "its kind of key cannot be used: take ECDSA P-256 or RSA")),
    }
}

/// Checks certificate and key; returns all problems.
pub(super) fn check_identity(certificate: &Path, key: &Path) -> Vec<TlsError> {
    let each = [certificates(certificate, File::Certificate).err(), private_key(key).err()];
    let problems: Vec<TlsError> = each.into_iter().flatten().collect();
    if problems.is_empty() { identity(certificate, key).err().into_iter().collect() } else { problems }
}

/// Reads the trusted certificates of a PEM file.
pub(super) fn roots(path: &Path) -> Result<rustls::RootCertStore, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path, File::Roots)? {
        roots.add(certificate).map_err(|_| {
            TlsError::new(File::Roots, "a certificate in it cannot be read, or uses what is not supported")
        })?;
    }
    Ok(roots)
}
