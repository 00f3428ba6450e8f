//! TLS of a client: the authorities that it trusts, and the certificate that it presents. Must not know what it
//! connects to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::files::{ALPN, File, TlsError, certificates, check_identity, identity, provider, roots};

/// PEM files of a client. Without any, the system's roots are trusted and no certificate is presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Authorities that are trusted instead of the system's roots.
    pub roots: Option<PathBuf>,
    /// Authorities that are trusted beside the system's roots; without effect where `roots` replaces those.
    pub extra_roots: Option<PathBuf>,
    /// Certificate and key that the client presents.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// Returns whether no file is configured.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks each configured file and returns all problems. Blocks on file access.
    pub fn check(&self) -> Vec<TlsError> {
        let named = self.roots.iter().chain(&self.extra_roots);
        let roots = named.filter_map(|path| roots(path).err());
        let own = self.identity.iter().flat_map(|(certificate, key)| check_identity(certificate, key));
        roots.chain(own).collect()
    }

    /// Reads the files. Blocks on file access.
    pub fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let trusted = match &self.roots {
            Some(path) => roots(path)?,
            None => system_roots(self.extra_roots.as_deref())?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(File::Roots, error))?
            .with_root_certificates(trusted);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, key) = identity(certificate, key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::new(File::Certificate, error))?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

/// Loads the roots of the system, or of `SSL_CERT_FILE` where that is set, and those of the file `extra`.
fn system_roots(extra: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = extra.map(roots).transpose()?.unwrap_or_else(RootCertStore::empty);
    let (added, _unusable) = store.add_parsable_certificates(found.certs);
    if added == 0 && extra.is_none() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let what = format!("this system has no trusted root certificates ({})", errors.join("; "));
        return Err(TlsError::new(File::Roots, what));
    }
    Ok(store)
}

/// Creates a client that trusts only the certificate of a file, for any host name: for requests to a server on this
/// machine.
pub fn pinned(certificate: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let own = certificates(certificate, File::Certificate)?.remove(0);
    let verifier = Arc::new(Pinned { own, provider: provider() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(File::Certificate, error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Pinned {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.own {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
