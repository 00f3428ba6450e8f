//! TLS servers of which each has another fault, in front of a plain port.
//!
//! Knows neither HTTP nor WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls::{Authority, Issued, verifier};

/// What is wrong with a server, or with how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    Early,
    /// Its certificate is for another host.
    OtherName,
    /// Its certificate names no host.
    NoName,
    /// Its certificate was issued by an authority that is not trusted.
    Untrusted,
    /// Its certificate is that of an authority.
    Authority,
    /// Its certificate is signed with an algorithm that nobody accepts any more.
    Signature,
    /// Its certificate was issued for clients.
    Purpose,
    /// It speaks another protocol than HTTP/1.1.
    Protocol,
    /// It requires a certificate of its clients.
    ClientCertificate,
    /// It closes each connection at once.
    HangsUp,
    /// It speaks no TLS.
    Plain,
}

/// DER of the object identifier of ECDSA with SHA-256, without its last byte.
const ECDSA_WITH_SHA2: [u8; 9] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// Last bytes of the object identifiers of ECDSA with SHA-256, and with SHA-224.
const SHA256_AND_SHA224: (u8, u8) = (0x02, 0x01);

impl TlsFault {
    /// Every fault.
    pub const ALL: [Self; 12] = [
        Self::Expired,
        Self::Early,
        Self::OtherName,
        Self::NoName,
        Self::Untrusted,
        Self::Authority,
        Self::Signature,
        Self::Purpose,
        Self::Protocol,
        Self::ClientCertificate,
        Self::HangsUp,
        Self::Plain,
    ];

    /// Opens a port on loopback with this fault, until the test ends; connections that come through it reach the plain `target`.
    /// Clients trust `authority` and use the name `localhost`.
    pub async fn serve(self, authority: &Authority, target: SocketAddr) -> SocketAddr {
        if self == Self::Plain {
            return target;
        }
        let config = (self != Self::HangsUp).then(|| self.config(authority));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(config) = config.clone() else { continue };
                tokio::spawn(async move {
                    let mut secure = TlsAcceptor::from(config).accept(stream).await?;
                    let mut plain = TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut secure, &mut plain).await
                });
            }
        });
        address
    }

    fn config(self, authority: &Authority) -> Arc<ServerConfig> {
        let stranger = Authority::default();
        let issued = self.issue(if self == Self::Untrusted { &stranger } else { authority });
        let mut certificate = CertificateDer::from_pem_file(&issued.cert).unwrap();
        if self == Self::Signature {
            certificate = with_old_algorithm(&certificate);
        }
        let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = if self == Self::ClientCertificate {
            builder.with_client_cert_verifier(verifier(authority))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        let protocol: &[u8] = if self == Self::Protocol { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    fn issue(self, authority: &Authority) -> Issued {
        let own = ["localhost"];
        match self {
            Self::Expired => authority.issue_as("expired", &own, |params| {
                (params.not_before, params.not_after) =
                    (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            }),
            Self::Early => authority.issue_as("early", &own, |params| {
                params.not_before = date_time_ymd(2090, 1, 1);
                params.not_after = date_time_ymd(2091, 1, 1);
            }),
            Self::OtherName => authority.issue("other", &["relay.example"]),
            Self::NoName => authority.issue("none", &[]),
            Self::Authority => authority.issue_as("authority", &own, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            Self::Purpose => authority.issue_as("purpose", &own, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            _ => authority.issue("good", &own),
        }
    }
}

/// Returns the certificate as one that is signed with SHA-224: a client refuses the algorithm before it looks at the signature.
fn with_old_algorithm(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    let (new, old) = SHA256_AND_SHA224;
    let mut bytes = certificate.to_vec();
    for at in 0..bytes.len() - ECDSA_WITH_SHA2.len() {
        let last = at + ECDSA_WITH_SHA2.len();
        if bytes[at..last] == ECDSA_WITH_SHA2 && bytes[last] == new {
            bytes[last] = old;
        }
    }
    bytes.into()
}
