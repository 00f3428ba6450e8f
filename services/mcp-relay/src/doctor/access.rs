//! Checks of who is served over HTTP: keys of clients and operators. Knows no mode.

use runtime::config::{AnonymousAccess, CommonConfig, is_loopback_authority};
use runtime::listen::ListenAddr;
use runtime::tls::CertificateUse;

use super::report::Report;

/// Reports the keys, and ports that are reachable without any.
pub(super) fn examine(report: &mut Report, common: &CommonConfig, certificates: Option<CertificateUse>) {
    let access = &common.access;
    let ports = [Some(&common.http), common.ops.port.as_ref()];
    let is_exposed = ports.into_iter().flatten().any(is_exposed);
    match certificates {
        None => {}
        Some(CertificateUse::Accepted) => {
            report.good("client certificates", "accepted (TLS_HTTP_CLIENT_CA)");
        }
        Some(CertificateUse::Required) => {
            report.good("client certificates", "required (TLS_HTTP_CLIENT_CA, TLS_HTTP_CLIENT_CERT)");
        }
    }
    match (access.clients.is_set(), access.anonymous) {
        (false, _) if access.issuers.is_some() => {
            report.note("client keys", "AUTH_BEARER_KEYS is not set: clients need a token of AUTH_ISSUERS");
        }
        (false, _) if certificates.is_some() => {
            report.note("client keys", "AUTH_BEARER_KEYS is not set: clients need a certificate");
        }
        (true, _) => report.good("client keys", format!("{} accepted", access.clients.count())),
        (false, AnonymousAccess::Everyone) if is_exposed => report.warn(
            "client keys",
            "ALLOW_ANONYMOUS=1 without AUTH_BEARER_KEYS: everybody who reaches the port may call tools",
        ),
        (false, _) if is_exposed => report.warn(
            "client keys",
            "AUTH_BEARER_KEYS is not set: every loopback and private address may call tools, no other",
        ),
        (false, _) => {
            report
                .note("client keys", "AUTH_BEARER_KEYS is not set: programs on this machine may call tools");
        }
    }
    if access.operators.is_set() {
        report.good("operators' keys", format!("{} accepted", access.operators.count()));
    } else if access.clients.is_set() {
        report
            .note("operators' keys", "OPS_KEYS is not set: clients' keys read metrics, API and status page");
    }
}

fn is_exposed(address: &ListenAddr) -> bool {
    !is_loopback_authority(&address.to_string())
}

#[cfg(test)]
mod tests {
    use runtime::config::EVERY;
    use runtime::env::{Reader, Snapshot};

    use super::super::report::Format;
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> String {
        lines_with(pairs, None)
    }

    fn lines_with(pairs: &[(&str, &str)], certificates: Option<CertificateUse>) -> String {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [EVERY, runtime::config::AUDIT, runtime::config::TRACES];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let common = CommonConfig::read(&mut reader);
        let mut report = Report::new("test", Format::Json);
        examine(&mut report, &common, certificates);
        let subjects = ["client certificates", "client keys", "operators' keys"];
        subjects.map(|subject| report.lines(subject)).concat().join("\n")
    }

    #[test]
    fn certificates_of_clients_are_told_and_no_port_is_open_then() {
        let exposed = [("MCP_SERVER_HOST", "0.0.0.0")];
        let accepted = lines_with(&exposed, Some(CertificateUse::Accepted));
        assert!(accepted.contains("✓ client certificates: accepted"), "{accepted}");
        assert!(accepted.contains("! client keys: AUTH_BEARER_KEYS is not set: clients need"), "{accepted}");
        let required = lines_with(&[], Some(CertificateUse::Required));
        assert!(required.contains("✓ client certificates: required"), "{required}");
    }

    #[test]
    fn exposed_ports_without_keys_are_warned_of() {
        assert!(lines(&[]).contains("! client keys"));
        assert!(lines(&[("MCP_SERVER_HOST", "::1")]).contains("! client keys"));
        let exposed = [("MCP_SERVER_HOST", "0.0.0.0")];
        assert!(lines(&exposed).contains("⚠ client keys: AUTH_BEARER_KEYS is not set"));
        assert!(lines(&[("OPS_PORT", "1"), ("OPS_HOST", "10.0.0.1")]).contains("⚠ client keys"));
        assert!(lines(&[exposed[0], ("ALLOW_ANONYMOUS", "1")]).contains("everybody"));
        let keyed = lines(&[exposed[0], ("AUTH_BEARER_KEYS", "hush")]);
        assert!(keyed.contains("✓ client keys: 1") && keyed.contains("! operators' keys"), "{keyed}");
        assert!(lines(&[("AUTH_BEARER_KEYS", "hush"), ("OPS_KEYS", "a,b")]).contains("✓ operators' keys: 2"));
    }
}
