//! What guards the proxy, as JSON: codes and certificates with the ends of their validity, and the rules of the policy. Names only, never
//! values. Must not know HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use policy::{PolicyStore, RuleSummary};
use runtime::moment;
use runtime::tls::ServerTls;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::access::CodeStore;

/// Time before its end from which on a certificate is shown as one that expires soon.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Sources of the document.
pub(crate) struct Guards {
    pub(crate) codes: Arc<CodeStore>,
    pub(crate) policy: Option<PolicyStore>,
    /// Certificates by the name of the port.
    pub(crate) certificates: Vec<(&'static str, Arc<ServerTls>)>,
}

impl Guards {
    pub(super) fn to_json(&self) -> Value {
        let certificates: Vec<Value> =
            self.certificates.iter().map(|(port, tls)| certificate(port, tls)).collect();
        json!({
            "schema": 1,
            "now": moment::text(SystemTime::now()),
            "codes": self.codes.current().to_json(OffsetDateTime::now_utc()),
            "certificates": { "total": certificates.len(), "list": certificates },
            "policy": self.policy(),
        })
    }

    fn policy(&self) -> Value {
        let Some(store) = &self.policy else { return json!({ "enabled": false }) };
        let policy = store.current();
        let rules: Vec<Value> = policy.summaries(None).iter().map(rule).collect();
        let otherwise = if policy.is_open() { "allowed" } else { "denied" };
        json!({ "enabled": true, "otherwise": otherwise, "total": rules.len(), "list": rules })
    }
}

fn rule(rule: &RuleSummary) -> Value {
    json!({
        "name": rule.name,
        "line": rule.line,
        "effect": if rule.allows { "allow" } else { "deny" },
        "who": rule.who,
        "scopes": rule.scopes,
        "asksArguments": rule.asks_arguments,
    })
}

fn certificate(port: &str, tls: &ServerTls) -> Value {
    let info = tls.certificate();
    let state = match info.seconds_left(SystemTime::now()) {
        left if left < 0.0 => "expired",
        left if left < SOON.as_secs_f64() => "expires soon",
        _ => "valid",
    };
    json!({
        "port": port,
        "names": info.names,
        "state": state,
        "notAfter": moment::text(info.not_after),
        "selfSigned": info.self_signed,
        "asksClients": tls.requires_certificates(),
    })
}
