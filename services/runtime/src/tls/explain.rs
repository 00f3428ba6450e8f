//! Failures of TLS handshakes in words, with what to do about them. Must not know who connects, or what for.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The peer of a handshake, and the words for what can be set.
#[derive(Clone, Copy, Debug)]
pub enum TlsPeer<'a> {
    /// A server that this process connects to.
    Server {
        /// The host name that its certificate must be for.
        host: &'a str,
        /// What names a file of trusted certificates.
        roots: &'a str,
        /// What names the certificate and key that this process presents.
        identity: Option<&'a str>,
        /// Scheme of a connection without TLS.
        plain: &'a str,
        /// ALPN name of the protocol that this process speaks.
        protocol: &'a str,
    },
    /// A client that connects to this process.
    Client {
        /// Scheme of a connection with TLS.
        encrypted: &'a str,
    },
}

/// The reason for a failed handshake, and what to do about it: two sentences' worth of text without a library's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    /// What happened.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. Fix: {}", self.what, self.fix)
    }
}

impl TlsFailure {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// Explains a failed handshake with `peer`, or an alert that came after it.
pub fn explain(error: &io::Error, peer: TlsPeer<'_>) -> TlsFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => peer.certificate(error),
        Some(Error::AlertReceived(alert)) => peer.alert(*alert),
        Some(
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::PeerSentOversizedRecord,
        ) => peer.speaks_no_tls(),
        Some(Error::NoCertificatesPresented) => TlsFailure::new(
            "the client presented no certificate, and TLS_CLIENT_CA requires one",
            "set PROXY_CLIENT_CERT and PROXY_CLIENT_KEY at the client, to a certificate that an authority of TLS_CLIENT_CA issued",
        ),
        Some(Error::PeerIncompatible(_)) => peer.is_too_old(),
        Some(Error::NoApplicationProtocol) => peer.lacks_protocol(),
        Some(
            Error::PeerMisbehaved(_) | Error::DecryptError | Error::InappropriateHandshakeMessage { .. },
        ) => TlsFailure::new(
            "the other side broke the rules of TLS",
            "look for a machine in between that intercepts TLS, or a faulty TLS library there",
        ),
        Some(_) => TlsFailure::new("the TLS library gave up", "run `mcp-relay doctor` on both machines"),
        None if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            peer.hung_up()
        }
        None if error.kind() == io::ErrorKind::TimedOut => TlsFailure::new(
            "the TLS handshake was not finished in time",
            "see whether the port speaks TLS at all, and whether a firewall drops packets",
        ),
        None => TlsFailure::new(
            format!("the connection broke: {}", error.kind()),
            "look at the network in between",
        ),
    }
}

/// A fault of a certificate as text, without the peer's own words and without a library's.
pub(super) fn certificate_fault(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("it expired {} ago", span(*not_after, *time))
        }
        CertificateError::NotValidYet => "it is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("it is not valid before {} from now", span(*time, *not_before))
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::UnknownIssuer => "no authority that is trusted here issued it".to_owned(),
        CertificateError::BadSignature => {
            "no authority that is trusted here issued it: its signature fits none, also where the name does"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed with an algorithm that is not accepted (SHA-1, or a key that is too short)"
                .to_owned()
        }
        CertificateError::NotValidForName => "it is for another host name".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host (subjectAltName)".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            format!("it is for {}", names.join(", "))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it was issued for another purpose (extended key usage)".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => "it is not the one that is expected".to_owned(),
        // webpki's error has no variant of rustls' own.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own (CA:TRUE)".to_owned()
        }
        _ => "it cannot be read, or uses what is not supported".to_owned(),
    }
}

/// Returns a name of a certificate without webpki's type around it: `DnsName("a.example")` and `IpAddress(10.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.strip_suffix(')').and_then(|name| name.split_once('(')).map_or(name, |(_, inner)| inner);
    inner.trim_matches('"')
}

/// Whole days, hours or minutes between two times.
fn span(from: UnixTime, to: UnixTime) -> String {
    let between = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()));
    let (count, unit) = match between {
        long if long >= DAY => (long.as_secs() / DAY.as_secs(), "day"),
        long if long >= HOUR => (long.as_secs() / HOUR.as_secs(), "hour"),
        short => (short.as_secs() / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl TlsPeer<'_> {
    fn certificate(self, error: &CertificateError) -> TlsFailure {
        let fault = certificate_fault(error);
        let Self::Server { host, roots, .. } = self else {
            return TlsFailure::new(
                format!("the client's certificate is not accepted: {fault}"),
                "give the client a certificate that an authority of TLS_CLIENT_CA issued and that is valid now",
            );
        };
        let fix = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the server's certificate; if it is valid, set the clock of this machine".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "set the clock of this machine, or wait".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("name a file with the certificate of its authority (or its own, where it is self-signed) in {roots}; the server must send the authorities in between as well")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "use a name of the certificate in the URL, or give the server a certificate with this name in subjectAltName".to_owned()
            }
            CertificateError::ApplicationVerificationFailure => {
                format!("name the file of the certificate that the server has now in {roots}")
            }
            CertificateError::Other(_) if fault.contains("CA:TRUE") => {
                "give the server a certificate of its own; for a self-signed one add -addext basicConstraints=critical,CA:FALSE to openssl req".to_owned()
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "have it issued with extended key usage serverAuth".to_owned()
            }
            _ => "have the server's certificate issued anew, with an ECDSA P-256 or RSA (2048 bits or more) key and SHA-256".to_owned(),
        };
        TlsFailure::new(format!("the certificate of {host} is not accepted: {fault}"), fix)
    }

    /// An alert says what the other side did not accept.
    fn alert(self, alert: AlertDescription) -> TlsFailure {
        match (alert, self) {
            (AlertDescription::CertificateRequired, Self::Server { identity, .. }) => TlsFailure::new(
                "the server requires a certificate of its clients",
                match identity {
                    Some(identity) => {
                        format!(
                            "set {identity} to a certificate and key that the server's authority (its TLS_CLIENT_CA) issued"
                        )
                    }
                    None => "use a port that requires none".to_owned(),
                },
            ),
            (
                AlertDescription::UnknownCA
                | AlertDescription::DecryptError
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied,
                peer,
            ) => peer.refuses_our_certificate(alert),
            (AlertDescription::NoApplicationProtocol, peer) => peer.lacks_protocol(),
            (AlertDescription::UnrecognisedName, Self::Server { host, .. }) => TlsFailure::new(
                format!("the server has no certificate for {host}"),
                "use the host name in the URL that the server is set up for",
            ),
            (
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity,
                peer,
            ) => peer.is_too_old(),
            (alert, _) => TlsFailure::new(
                format!("the other side ended the handshake (TLS alert {})", u8::from(alert)),
                "see its log",
            ),
        }
    }

    fn refuses_our_certificate(self, alert: AlertDescription) -> TlsFailure {
        let why = match alert {
            AlertDescription::UnknownCA | AlertDescription::DecryptError => "it does not trust the authority",
            AlertDescription::CertificateExpired => "it has expired",
            AlertDescription::CertificateRevoked => "it was revoked",
            _ => "it does not accept it",
        };
        match self {
            Self::Server { identity, .. } => TlsFailure::new(
                format!("the server refuses the certificate of this client: {why}"),
                format!(
                    "set {} to a certificate that the server's authority (its TLS_CLIENT_CA) issued and that is valid now",
                    identity.unwrap_or("the client's certificate")
                ),
            ),
            Self::Client { .. } => TlsFailure::new(
                format!("the client refuses the certificate of TLS_CERT: {why}"),
                "give the client the authority of the certificate (PROXY_CA_FILE at a slave), and let it use a host name of the certificate",
            ),
        }
    }

    fn speaks_no_tls(self) -> TlsFailure {
        match self {
            Self::Server { plain, .. } => TlsFailure::new(
                "the server does not speak TLS on this port",
                format!("use {plain}, where the network is trusted, or the port that speaks TLS"),
            ),
            Self::Client { encrypted } => TlsFailure::new(
                "the client does not speak TLS, and this port speaks nothing else",
                format!("use {encrypted} at the client"),
            ),
        }
    }

    fn is_too_old(self) -> TlsFailure {
        let who = if matches!(self, Self::Server { .. }) { "server" } else { "client" };
        TlsFailure::new(
            format!("the {who} and this program have no version or cipher of TLS in common"),
            format!("enable TLS 1.3 or 1.2 (with ECDHE and AES-GCM or ChaCha20) at the {who}"),
        )
    }

    fn lacks_protocol(self) -> TlsFailure {
        let (who, protocol) = match self {
            Self::Server { protocol, .. } => ("server", protocol),
            Self::Client { .. } => ("client", "http/1.1"),
        };
        let version = if protocol == "h2" { "HTTP/2" } else { "HTTP/1.1" };
        TlsFailure::new(
            format!("the {who} does not offer {version} (ALPN {protocol})"),
            format!("allow {protocol} beside other protocols at the {who}, or in what stands before it"),
        )
    }

    fn hung_up(self) -> TlsFailure {
        match self {
            Self::Server { plain, .. } => TlsFailure::new(
                "the server closed the connection during the TLS handshake",
                format!("see whether the port speaks TLS (if not, use {plain}), and the server's log"),
            ),
            Self::Client { .. } => TlsFailure::new(
                "the client closed the connection during the TLS handshake",
                "nothing, if it was a check of the port; else see the client's log",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
