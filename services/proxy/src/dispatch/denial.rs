//! Refusals by the policy: what the client is told, and what the operator. Must not know how the policy decides.

use policy::{Decision, Policy, Requester};
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use runtime::audit::{self, AuditLine};
use runtime::tokens::challenged;

use crate::metrics;

/// Returns the failure of what nobody offers, as far as the client may know.
pub(super) fn unknown(kind: Option<Kind>, why: String) -> Failure {
    match kind {
        None => Failure::MethodNotFound(why),
        Some(Kind::Tool) => Failure::UnknownTool(why),
        Some(Kind::Prompt) => Failure::UnknownPrompt(why),
        Some(Kind::Resource | Kind::Template) => Failure::UnknownResource(why),
        Some(Kind::Task) => Failure::UnknownTask(why),
    }
}

/// Returns the failure of a request that the policy refuses. A client that may not know of the entry is told that there is none.
pub(super) fn failure(
    policy: &Policy,
    decision: Decision,
    kind: Option<Kind>,
    name: &str,
    client: &Requester<'_>,
) -> Failure {
    match decision {
        Decision::Challenge(rule) => {
            Failure::InsufficientScope { scopes: challenged(&client.scopes, policy.scopes_of(rule)) }
        }
        Decision::Forbidden(_) => Failure::Forbidden("the policy does not allow these arguments".into()),
        Decision::Allowed | Decision::Hidden(_) => unknown(kind, name.to_owned()),
    }
}

/// Counts a refusal, and writes it to log and audit stream with the rule that decided.
pub(super) fn record(
    policy: &Policy,
    decision: Decision,
    kind: Option<Kind>,
    name: &str,
    client: &Requester<'_>,
) {
    let kind = kind.map_or("method", Kind::as_str);
    metrics::record_denial(decision.as_str(), kind);
    let rule = decision.rule().and_then(|rule| policy.rule(rule)).map(|rule| rule.name);
    let why = rule.as_deref().unwrap_or("no rule allows it");
    tracing::debug!(kind, name, decision = decision.as_str(), rule = why, "Request denied by the policy");
    if audit::is_on() {
        let line = AuditLine::new("request_denied")
            .with("decision", decision.as_str())
            .with("rule", why)
            .with("kind", kind)
            .with("name", name)
            .with("client_key", client.key.as_deref())
            .with("issuer", client.issuer.as_deref())
            .with("subject", client.subject.as_deref());
        audit::write_line(line);
    }
}
