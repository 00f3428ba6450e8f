//! Checks of who is served over HTTP: keys of clients and operators. Knows no mode.

use runtime::config::{AnonymousAccess, CommonConfig, is_loopback_authority};
use runtime::listen::ListenAddr;
use runtime::tls::CertificateUse;

use super::report::Report;

/// What lets clients of a proxy in besides keys and the tokens of issuers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OtherCredentials {
    pub(super) certificates: Option<CertificateUse>,
    /// Whether tokens of the proxy's own broker do.
    pub(super) broker: bool,
}

/// Reports the keys, and ports that are reachable without any.
pub(super) fn examine(report: &mut Report, common: &CommonConfig, others: OtherCredentials) {
    let access = &common.access;
    let OtherCredentials { certificates, broker } = others;
    let tokens = match (access.issuers.is_some(), broker) {
        (true, true) => Some("a token of AUTH_ISSUERS or OAUTH_BROKER"),
        (true, false) => Some("a token of AUTH_ISSUERS"),
        (false, true) => Some("a token of OAUTH_BROKER"),
        (false, false) => None,
    };
    let needed = tokens.or(certificates.map(|_| "a certificate"));
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
    match (access.clients.is_set(), needed, access.anonymous) {
        (false, Some(needed), _) => {
            report.note("client keys", format!("AUTH_BEARER_KEYS is not set: clients need {needed}"));
        }
        (true, ..) => report.good("client keys", format!("{} accepted", access.clients.count())),
        (false, None, AnonymousAccess::Everyone) if is_exposed => report.warn(
            "client keys",
            "ALLOW_ANONYMOUS=1 without AUTH_BEARER_KEYS: everybody who reaches the port may call tools",
        ),
        (false, None, _) if is_exposed => report.warn(
            "client keys",
            "AUTH_BEARER_KEYS is not set: every loopback and private address may call tools, no other",
        ),
        (false, None, _) => {
            report
                .note("client keys", "AUTH_BEARER_KEYS is not set: programs on this machine may call tools");
        }
    }
    if access.operators.is_set() {
        report.good("operators' keys", format!("{} accepted", access.operators.count()));
    } else if access.clients.is_set() {
        report
            .note("operators' keys", "OPS_KEYS is not set: clients' keys read metrics, API and status page");
    } else if tokens.is_some() && is_exposed {
        let what =
            "OPS_KEYS is not set: every loopback and private address reads metrics, API and status page";
        report.warn("operators' keys", what);
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
        lines_with(pairs, OtherCredentials::default())
    }

    fn lines_with(pairs: &[(&str, &str)], others: OtherCredentials) -> String {
        let snapshot = Snapshot::of(pairs.iter().copied());
        let tables = [EVERY, runtime::config::AUDIT, runtime::config::TRACES];
        let mut reader = Reader::new("test", &snapshot, &tables);
        let common = CommonConfig::read(&mut reader);
        let mut report = Report::new("test", Format::Json);
        examine(&mut report, &common, others);
        let subjects = ["client certificates", "client keys", "operators' keys"];
        subjects.map(|subject| report.lines(subject)).concat().join("\n")
    }

    #[test]
    fn certificates_of_clients_are_told_and_no_port_is_open_then() {
        let exposed = [("MCP_SERVER_HOST", "0.0.0.0")];
        let showing = |certificates| OtherCredentials { certificates: Some(certificates), broker: false };
        let accepted = lines_with(&exposed, showing(CertificateUse::Accepted));
        assert!(accepted.contains("✓ client certificates: accepted"), "{accepted}");
        assert!(accepted.contains("! client keys: AUTH_BEARER_KEYS is not set: clients need"), "{accepted}");
        let required = lines_with(&[], showing(CertificateUse::Required));
        assert!(required.contains("✓ client certificates: required"), "{required}");
    }

    /// Whoever needs a token is not told that everybody nearby gets in; operators' endpoints are another matter.
    #[test]
    fn with_a_broker_no_port_is_open_to_clients_and_that_of_operators_may_be() {
        let broker = OtherCredentials { broker: true, certificates: None };
        for pairs in [&[("MCP_SERVER_HOST", "0.0.0.0")][..], &[]] {
            let text = lines_with(pairs, broker);
            assert!(
                text.contains(
                    "! client keys: AUTH_BEARER_KEYS is not set: clients need a token of OAUTH_BROKER"
                ),
                "{text}"
            );
            assert_eq!(text.contains("⚠ operators' keys: OPS_KEYS is not set"), !pairs.is_empty(), "{text}");
        }
        let keyed = lines_with(&[("MCP_SERVER_HOST", "0.0.0.0"), ("OPS_KEYS", "hush")], broker);
        assert!(!keyed.contains('⚠'), "{keyed}");
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
