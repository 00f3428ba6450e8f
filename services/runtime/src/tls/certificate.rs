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

impl CertificateInfo {
    /// Returns in words when the certificate expires, or since when it is expired: `expires in 3 days`, `expired 5 hours ago`.
    pub fn expiry_text(&self, now: SystemTime) -> String {
        let seconds = self.seconds_left(now);
        let span = span_text(seconds.abs());
        if seconds < 0.0 { format!("expired {span} ago") } else { format!("expires in {span}") }
    }
}

/// Returns a time in words, in whole units.
fn span_text(seconds: f64) -> String {
    let (unit, length) = match seconds {
        s if s < 2.0 * 3600.0 => ("minute", 60.0),
        s if s < 2.0 * 86_400.0 => ("hour", 3600.0),
        _ => ("day", 86_400.0),
    };
    match (seconds / length).floor() {
        number if number < 1.0 => format!("less than a {unit}"),
        number if number < 2.0 => format!("1 {unit}"),
        number => format!("{number:.0} {unit}s"),
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

/// Returns the names of the holder of the first certificate: the alternative names of its subject, else its common name. `None`: it cannot
/// be read.
pub(super) fn holder_names(chain: &[CertificateDer<'_>]) -> Option<Vec<String>> {
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    if let Some(names) = leaf.subject_alternative_name().ok()? {
        return Some(names.value.general_names.iter().filter_map(holder_name).collect());
    }
    Some(leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect())
}

fn holder_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        name => shown(name),
    }
}

/// Returns the last second, since 1970, in which all certificates of a chain are valid; 0 where one cannot be read.
pub(super) fn last_second(chain: &[CertificateDer<'_>]) -> u64 {
    let ends = chain.iter().map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()
    });
    ends.map(Option::unwrap_or_default).min().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_told_in_words_before_and_after() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_000);
        let text = |seconds: i64| {
            let span = Duration::from_secs(seconds.unsigned_abs());
            let not_after = if seconds < 0 { now - span } else { now + span };
            let info = CertificateInfo { names: Vec::new(), not_after, self_signed: false, chained: true };
            info.expiry_text(now)
        };
        let (hour, day) = (3600, 86_400);
        for (seconds, expected) in [
            (30 * day, "expires in 30 days"),
            (3 * day - 1, "expires in 2 days"),
            (day + 1, "expires in 24 hours"),
            (hour, "expires in 60 minutes"),
            (61, "expires in 1 minute"),
            (59, "expires in less than a minute"),
            (0, "expires in less than a minute"),
            (-1, "expired less than a minute ago"),
            (-5 * hour, "expired 5 hours ago"),
            (-60_039_360, "expired 694 days ago"),
        ] {
            assert_eq!(text(seconds), expected);
        }
    }
}
