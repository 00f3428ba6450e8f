//! The series of the broker: sign-ins, decisions, tokens, refusals, revocations. Must not know requests; no label has a word of a client.

use ::metrics::counter;
use runtime::metrics::{Label, Metric};

const SIGN_INS: &str = "mcp_relay_broker_sign_ins_total";
const DECISIONS: &str = "mcp_relay_broker_decisions_total";
const REGISTRATIONS: &str = "mcp_relay_broker_registrations_total";
const TOKENS: &str = "mcp_relay_broker_tokens_total";
const REFUSALS: &str = "mcp_relay_broker_refusals_total";
const REVOCATIONS: &str = "mcp_relay_broker_revocations_total";

/// The codes of all errors of OAuth that the broker answers with.
const ERRORS: [&str; 12] = [
    "interaction_required",
    "invalid_client",
    "invalid_client_metadata",
    "invalid_grant",
    "invalid_redirect_uri",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "request_not_supported",
    "server_error",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// The series of a proxy with `OAUTH_BROKER`; all stay zero at others.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        SIGN_INS,
        &[Label::of("outcome", &SignIn::LABELS)],
        "Sign-ins of users, by outcome: ok, wrong (name, password or one-time code), limited (too many attempts), busy (too many at once), provider (the identity provider did not answer, or its word is not accepted).",
    ),
    Metric::counter(
        DECISIONS,
        &[Label::of("decision", &["allowed", "refused"])],
        "Decisions of users about a client that asked for access.",
    ),
    Metric::counter(REGISTRATIONS, &[], "Clients that registered themselves (/oauth/register)."),
    Metric::counter(
        TOKENS,
        &[Label::of("grant", &["code", "refresh"])],
        "Access tokens issued, for a code (a user let a client in) or a refresh token.",
    ),
    Metric::counter(
        REFUSALS,
        &[Label::of("endpoint", &Endpoint::LABELS), Label::of("error", &ERRORS)],
        "Requests of clients that were refused, by endpoint and the error that the client is told. At authorize also what only the user is told: a client or redirect URI that is not known (invalid_client, invalid_redirect_uri).",
    ),
    Metric::counter(
        REVOCATIONS,
        &[Label::of("reason", &Revoked::LABELS)],
        "Grants that ended before their time: their client asked this proxy for it, a code or refresh token was used twice, here or here and at another proxy, which is what a thief's use looks like, or another proxy said so through slaves (elsewhere).",
    ),
];

/// Declares the values of a label.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$of])* $value,)+ }

        impl $name {
            const LABELS: [&'static str; [$($label),+].len()] = [$($label),+];

            const fn label(self) -> &'static str {
                match self { $(Self::$value => $label,)+ }
            }
        }
    };
}

values! {
    /// How a sign-in ended.
    SignIn { Done = "ok", Wrong = "wrong", Limited = "limited", Busy = "busy", Provider = "provider", }
}
values! {
    /// Endpoints that clients ask.
    Endpoint { Authorize = "authorize", Register = "register", Token = "token", Revoke = "revoke", }
}
values! {
    /// Why a grant ended.
    Revoked { Client = "client", CodeReuse = "code_reuse", Elsewhere = "elsewhere", RefreshReuse = "refresh_reuse", }
}

impl Revoked {
    /// Returns the reason in words.
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Client => "its client asked for it",
            Self::CodeReuse => "a code was used twice",
            Self::Elsewhere => "it was revoked at another proxy",
            Self::RefreshReuse => "a refresh token was used twice",
        }
    }
}

pub(crate) fn record_sign_in(outcome: SignIn) {
    counter!(SIGN_INS, "outcome" => outcome.label()).increment(1);
}

pub(crate) fn record_decision(is_allowed: bool) {
    counter!(DECISIONS, "decision" => if is_allowed { "allowed" } else { "refused" }).increment(1);
}

pub(crate) fn record_registration() {
    counter!(REGISTRATIONS).increment(1);
}

/// Records a token that was issued for a refresh token, or for a code.
pub(crate) fn record_token(is_refreshed: bool) {
    counter!(TOKENS, "grant" => if is_refreshed { "refresh" } else { "code" }).increment(1);
}

/// Records a refusal with an error's code.
pub(crate) fn record_refusal(endpoint: Endpoint, code: &'static str) {
    debug_assert!(ERRORS.contains(&code), "{code} is a code that no label has");
    counter!(REFUSALS, "endpoint" => endpoint.label(), "error" => code).increment(1);
}

pub(crate) fn record_revocations(reason: Revoked, count: usize) {
    counter!(REVOCATIONS, "reason" => reason.label()).increment(count as u64);
}
