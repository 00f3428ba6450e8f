//! Certificates of a test authority, and tunnels between plain and TLS ports.
//!
//! Knows neither HTTP nor WebSocket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority with a folder of PEM files.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

impl Issued {
    /// SHA-256 digest of the certificate in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let certificate = CertificateDer::from_pem_file(&self.cert).unwrap();
        let digest = Sha256::digest(&certificate);
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
    }
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.root(), authority.issuer.pem()).unwrap();
        authority
    }
}

impl Authority {
    /// PEM file of the authority's own certificate.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Issues a certificate for these names into `<file>.crt` and `<file>.key`, replacing earlier ones.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.issue_as(file, names, |_| {})
    }

    /// Issues a certificate as [`Self::issue`] does, after `change` of what it says.
    pub fn issue_as(&self, file: &str, names: &[&str], change: impl Fn(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.path().join(format!("{file}.{end}"));
        let issued = Issued { cert: path("crt"), key: path("key") };
        for (to, text) in [(&issued.cert, certificate.pem()), (&issued.key, key.serialize_pem())] {
            let new = to.with_extension("new");
            std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, to)).unwrap();
        }
        issued
    }

    /// Returns the TLS configuration of a client that trusts this authority and presents `identity`.
    pub fn client(&self, identity: Option<&Issued>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = vec![CertificateDer::from_pem_file(&issued.cert).unwrap()];
                let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }
}

/// Connects with TLS and returns the server's certificate.
pub async fn shown(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

/// Opens a plain port on loopback whose connections are forwarded to `target` over TLS, until the test ends.
pub async fn tunnel(target: SocketAddr, config: Arc<ClientConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let connector = TlsConnector::from(Arc::clone(&config));
            tokio::spawn(async move {
                let stream = TcpStream::connect(target).await?;
                let name = ServerName::try_from("localhost").unwrap();
                let mut secure = connector.connect(name, stream).await?;
                tokio::io::copy_bidirectional(&mut plain, &mut secure).await
            });
        }
    });
    address
}

/// Returns the TLS configuration of a server with these ALPN protocols; `clients`: the authority whose certificates it requires.
pub fn server(own: &Issued, protocols: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(&own.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => builder.with_client_cert_verifier(verifier(authority)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Returns the verifier of a server that requires certificates of this authority.
pub(crate) fn verifier(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.root()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
}

/// Opens a TLS port on loopback whose connections are forwarded to the plain `target`, until the test ends. The only
/// ALPN protocol is `protocol`.
pub async fn terminator(target: SocketAddr, own: &Issued, protocol: &str) -> SocketAddr {
    let acceptor = TlsAcceptor::from(server(own, &[protocol], None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut secure = acceptor.accept(stream).await?;
                let mut plain = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut secure, &mut plain).await
            });
        }
    });
    address
}
