//! The contents of a certificate: names, end of validity, and the consistency of its chain. Must not know servers or
//! clients.

use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{File, TlsError};

/// The contents of a server's or client's own certificate, and the consistency of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Host names and addresses that the certificate is for.
    pub names: Vec<String>,
    /// End of validity.
    pub not_after: SystemTime,
    /// Whether issuer and subject are the same.
    pub self_signed: bool,
    /// Whether each certificate of the chain was issued by the next.
    pub chained: bool,
}

impl CertificateInfo {
    /// Returns whether the certificate ends within `span` from now.
    pub fn ends_within(&self, span: Duration) -> bool {
        self.seconds_left(SystemTime::now()) < span.as_secs_f64()
    }

    /// Returns the seconds until the end of validity; negative after it.
    pub fn seconds_left(&self, now: SystemTime) -> f64 {
        match self.not_after.duration_since(now) {
            Ok(left) => left.as_secs_f64(),
            Err(over) => -over.duration().as_secs_f64(),
        }
    }
}

/// Reads a chain whose first certificate is the owner's.
pub fn certificate_info(chain: &[CertificateDer<'_>]) -> Result<CertificateInfo, TlsError> {
    let bad = || TlsError::new(File::Certificate, "it has a certificate that cannot be read");
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
        .collect::<Result<_, _>>()
        .map_err(|_| bad())?;
    let leaf = parsed.first().ok_or_else(bad)?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(shown).collect());
    let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or_default();
    Ok(CertificateInfo {
        names: names.unwrap_or_default(),
        not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(end),
        self_signed: leaf.issuer() == leaf.subject(),
        chained: parsed.windows(2).all(|pair| pair[0].issuer() == pair[1].subject()),
    })
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::IpAddr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::IpAddr::from(b).to_string()),
        },
        _ => None,
    }
}
