//! Who is served, in words: for the log at start, the status document and the status page. Must not decide it.

use runtime::config::AnonymousAccess;
use runtime::tls::CertificateUse;
use serde_json::{Value, json};

use crate::config::{BindScope, EdgeConfig};

/// Who is let in where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// Holders of the endpoint's own keys.
    OwnKeys,
    /// Holders of issuers' tokens.
    Tokens,
    /// Holders of keys or tokens.
    KeysAndTokens,
    /// Holders of clients' keys, for operators' endpoints.
    ClientKeys,
    /// Loopback and private addresses.
    Local,
    /// Everybody who reaches the port.
    Everyone,
    /// Holders of certificates.
    Certificates,
}

impl Admission {
    fn label(self) -> &'static str {
        match self {
            Self::OwnKeys => "own keys",
            Self::Tokens => "tokens of issuers",
            Self::KeysAndTokens => "own keys, tokens of issuers",
            Self::ClientKeys => "client keys",
            Self::Local => "local addresses",
            Self::Everyone => "everyone",
            Self::Certificates => "certificates",
        }
    }
}

fn on_or_off(admission: Admission) -> &'static str {
    match admission {
        Admission::OwnKeys | Admission::KeysAndTokens | Admission::ClientKeys => "on",
        Admission::Tokens | Admission::Local | Admission::Everyone | Admission::Certificates => "off",
    }
}

/// Who is served by the ports of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessReport {
    clients: Admission,
    /// What certificates of clients are good for beside that.
    certificates: Option<CertificateUse>,
    operators: Admission,
    clients_scope: BindScope,
    operators_scope: BindScope,
}

impl AccessReport {
    /// Reports on an edge; `ops_port` is who reaches the operators' own port, if there is one.
    pub fn new(config: &EdgeConfig, ops_port: Option<BindScope>) -> Self {
        let unkeyed = match config.anonymous {
            AnonymousAccess::Local => Admission::Local,
            AnonymousAccess::Everyone => Admission::Everyone,
        };
        let (client_keys, ops_keys) = (config.keys.is_required(), config.ops_keys.is_required());
        Self {
            clients: match (client_keys, config.tokens.is_some() || config.authority.is_some()) {
                (true, true) => Admission::KeysAndTokens,
                (true, false) => Admission::OwnKeys,
                (false, true) => Admission::Tokens,
                (false, false) if config.certificates.is_some() => Admission::Certificates,
                (false, false) => unkeyed,
            },
            certificates: config.certificates,
            operators: match (ops_keys, client_keys) {
                (true, _) => Admission::OwnKeys,
                (false, true) => Admission::ClientKeys,
                (false, false) => unkeyed,
            },
            clients_scope: config.exposure,
            operators_scope: ops_port.unwrap_or(config.exposure),
        }
    }

    /// Returns what the operator should know of ports that are reachable beyond this machine without a key.
    pub fn warning(&self) -> Option<String> {
        let open = |admission, scope| {
            scope == BindScope::Network && matches!(admission, Admission::Local | Admission::Everyone)
        };
        let what = match (open(self.clients, self.clients_scope), open(self.operators, self.operators_scope))
        {
            (false, false) => return None,
            (true, true) => "clients and operators",
            (true, false) => "clients",
            (false, true) => "operators",
        };
        let who = if self.clients == Admission::Everyone || self.operators == Admission::Everyone {
            "everybody who reaches the port is served (ALLOW_ANONYMOUS=1)"
        } else {
            "only loopback and private addresses are served"
        };
        let variable = if what == "operators" { "OPS_KEYS" } else { "AUTH_BEARER_KEYS" };
        Some(format!(
            "No keys are set for {what}, and this server listens beyond loopback: {who}. Set {variable}"
        ))
    }

    /// Logs who is served, at start.
    pub fn log(&self) {
        if let Some(warning) = self.warning() {
            tracing::warn!("{warning}");
        }
        if matches!(self.clients, Admission::Tokens | Admission::KeysAndTokens) {
            tracing::info!("Clients are served with access tokens of issuers (AUTH_ISSUERS, OAUTH_BROKER)");
        }
        match self.certificates {
            None => {}
            Some(CertificateUse::Accepted) => {
                tracing::info!("Clients are served with certificates (TLS_HTTP_CLIENT_CA)");
            }
            Some(CertificateUse::Required) => {
                tracing::info!(
                    "Clients need certificates (TLS_HTTP_CLIENT_CA, TLS_HTTP_CLIENT_CERT=required)"
                );
            }
        }
        if self.operators == Admission::ClientKeys {
            tracing::info!("Operators' endpoints take clients' keys, as OPS_KEYS is not set");
        }
    }

    /// Returns whether clients need a key, in one word.
    pub fn client_keys(&self) -> &'static str {
        on_or_off(self.clients)
    }

    /// Returns whether operators need a key, in one word.
    pub fn operator_keys(&self) -> &'static str {
        on_or_off(self.operators)
    }

    /// Returns the report for the status document.
    pub fn to_json(&self) -> Value {
        json!({
            "clients": self.clients.label(),
            "certificates": self.certificates.map(|usage| match usage {
                CertificateUse::Accepted => "accepted",
                CertificateUse::Required => "required",
            }),
            "operators": self.operators.label(),
            "warning": self.warning(),
        })
    }
}

#[cfg(test)]
mod tests {
    use runtime::secret::{SecretSet, SessionKey};

    use super::*;

    fn report(adapt: impl FnOnce(&mut EdgeConfig), ops_port: Option<BindScope>) -> AccessReport {
        let mut config = EdgeConfig::new("test", "1", SessionKey::derive("key"));
        adapt(&mut config);
        AccessReport::new(&config, ops_port)
    }

    #[test]
    fn what_listens_beyond_loopback_without_keys_is_warned_of() {
        let loopback = |config: &mut EdgeConfig| config.exposure = BindScope::Loopback;
        let keyed = |config: &mut EdgeConfig| config.keys = SecretSet::new(["k"]).into();
        let ops_keyed = |config: &mut EdgeConfig| config.ops_keys = SecretSet::new(["k"]).into();
        let everyone = |config: &mut EdgeConfig| config.anonymous = AnonymousAccess::Everyone;
        for (report, expected) in [
            (report(loopback, None), None),
            (report(loopback, Some(BindScope::Loopback)), None),
            (report(loopback, Some(BindScope::Network)), Some("for operators, ")),
            (report(|_| (), None), Some("for clients and operators, ")),
            (report(|_| (), Some(BindScope::Loopback)), Some("for clients, ")),
            (report(everyone, None), Some("everybody who reaches the port is served")),
            (report(keyed, None), None),
            (report(ops_keyed, None), Some("for clients, ")),
        ] {
            let warning = report.warning();
            assert_eq!(warning.is_some(), expected.is_some(), "{warning:?}");
            assert!(warning.unwrap_or_default().contains(expected.unwrap_or_default()), "{report:?}");
        }
    }

    #[test]
    fn the_status_document_says_whose_keys_count() {
        let keyed = report(|config| config.keys = SecretSet::new(["hush"]).into(), None).to_json();
        assert_eq!((&keyed["clients"], &keyed["operators"]), (&json!("own keys"), &json!("client keys")));
        let keyed_report = report(|config| config.keys = SecretSet::new(["hush"]).into(), None);
        assert_eq!((keyed_report.client_keys(), keyed_report.operator_keys()), ("on", "on"));
        let ops_only = report(|config| config.ops_keys = SecretSet::new(["hush"]).into(), None);
        assert_eq!((ops_only.client_keys(), ops_only.operator_keys()), ("off", "on"));
        assert!(keyed["warning"].is_null() && !keyed.to_string().contains("hush"));
        let open = report(|_| (), None).to_json();
        assert_eq!(open["clients"], "local addresses");
        assert!(open["warning"].as_str().unwrap().contains("AUTH_BEARER_KEYS"));
    }
}
