//! Tests of the words for failed handshakes. Must not open a connection.

use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};

use super::*;

const SERVER: TlsPeer<'_> = TlsPeer::Server {
    host: "relay.example",
    roots: "PROXY_CA_FILE",
    identity: Some("PROXY_CLIENT_CERT and PROXY_CLIENT_KEY"),
    plain: "ws://",
    protocol: "http/1.1",
};
const CLIENT: TlsPeer<'_> = TlsPeer::Client { encrypted: "wss://" };

fn of(error: Error, peer: TlsPeer<'_>) -> String {
    explain(&io::Error::new(io::ErrorKind::InvalidData, error), peer).to_string()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[test]
fn a_fault_of_the_servers_certificate_names_host_and_fix() {
    let name = rustls::pki_types::ServerName::try_from("relay.example").unwrap().to_owned();
    let other = CertificateError::NotValidForNameContext {
        expected: name,
        presented: vec![r#"DnsName("a.example")"#.into(), "IpAddress(10.0.0.1)".into(), "b.example".into()],
    };
    let old = CertificateError::ExpiredContext { time: at(10 * 86_400), not_after: at(3 * 86_400) };
    let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(3_600) };
    let rows = [
        (old, "it expired 7 days ago", "renew"),
        (early, "not valid before 1 hour from now", "clock"),
        (CertificateError::UnknownIssuer, "no authority", "PROXY_CA_FILE"),
        // An authority of the same name with another key.
        (CertificateError::BadSignature, "no authority", "PROXY_CA_FILE"),
        (other, "it is for a.example, 10.0.0.1, b.example", "subjectAltName"),
        (CertificateError::BadEncoding, "cannot be read", "issued anew"),
        (CertificateError::InvalidPurpose, "another purpose", "serverAuth"),
        (CertificateError::ApplicationVerificationFailure, "not the one", "PROXY_CA_FILE"),
    ];
    for (error, what, fix) in rows {
        let text = of(Error::InvalidCertificate(error), SERVER);
        assert!(text.contains("relay.example") && text.contains(what) && text.contains(fix), "{text}");
    }
}

#[test]
fn alerts_and_violations_are_told_to_each_side() {
    let rows = [
        (Error::AlertReceived(AlertDescription::CertificateRequired), SERVER, "PROXY_CLIENT_CERT"),
        (Error::AlertReceived(AlertDescription::UnknownCA), SERVER, "TLS_CLIENT_CA"),
        (Error::AlertReceived(AlertDescription::UnknownCA), CLIENT, "PROXY_CA_FILE"),
        (Error::AlertReceived(AlertDescription::UnrecognisedName), SERVER, "relay.example"),
        (Error::AlertReceived(AlertDescription::NoApplicationProtocol), SERVER, "http/1.1"),
        (Error::AlertReceived(AlertDescription::ProtocolVersion), SERVER, "TLS 1.3"),
        (Error::AlertReceived(AlertDescription::InternalError), SERVER, "alert 80"),
        (Error::InvalidMessage(InvalidMessage::InvalidContentType), SERVER, "ws://"),
        (Error::InvalidMessage(InvalidMessage::InvalidContentType), CLIENT, "wss://"),
        (Error::NoCertificatesPresented, CLIENT, "PROXY_CLIENT_CERT"),
        (Error::NoApplicationProtocol, CLIENT, "http/1.1"),
        (Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired), CLIENT, "TLS 1.3"),
        (Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived), SERVER, "intercepts"),
    ];
    for (error, peer, words) in rows {
        let shown = format!("{error:?}");
        let text = of(error, peer);
        assert!(text.contains(words), "{shown}: {text}");
        assert!(!text.contains("::") && !text.contains('{'), "a library's words: {text}");
    }
}

#[test]
fn a_connection_that_broke_is_told_without_a_librarys_words() {
    for (kind, words) in [
        (io::ErrorKind::UnexpectedEof, "closed the connection"),
        (io::ErrorKind::ConnectionReset, "closed the connection"),
        (io::ErrorKind::TimedOut, "in time"),
        (io::ErrorKind::BrokenPipe, "broke"),
    ] {
        for peer in [SERVER, CLIENT] {
            let text = explain(&io::Error::from(kind), peer).to_string();
            assert!(text.contains(words) && text.contains("Fix: "), "{text}");
        }
    }
}

#[test]
fn spans_are_whole_units() {
    for (seconds, shown) in [(0, "0 minutes"), (61, "1 minute"), (7_300, "2 hours"), (86_400, "1 day")] {
        assert_eq!(span(at(0), at(seconds)), shown);
    }
}
