//! What an edge is told by whoever runs it: plain data. Must not read the environment.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use policy::PolicyStore;
use runtime::config::{AllowedHosts, AllowedOrigins, AnonymousAccess, ClientLimits};
use runtime::keys::KeyStore;
use runtime::secret::SessionKeys;
use runtime::tls::CertificateUse;
use runtime::tokens::TokenVerifier;
use runtime::trusted::TrustedProxies;

use crate::authority::Authority;

/// Who can reach the address that the server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindScope {
    /// Programs on this machine only. A browser that sends another host name has been tricked (DNS rebinding).
    Loopback,
    /// The network, perhaps through an ingress that passes its own host name on.
    Network,
}

impl BindScope {
    /// Of a socket bound to this address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// Settings of an [`Edge`](crate::Edge).
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Name in `serverInfo` and `/health`.
    pub name: String,
    /// Version in `serverInfo` and `/health`.
    pub version: String,
    /// What this process is, say `proxy`: part of the title in `serverInfo`, and `role` in `/health`.
    pub role: String,
    /// Accepted keys of clients (`AUTH_BEARER_KEYS` and its file).
    pub keys: KeyStore,
    /// Accepted tokens of clients (`AUTH_ISSUERS`); `None`: none.
    pub tokens: Option<TokenVerifier>,
    /// What clients' certificates are good for (`TLS_HTTP_CLIENT_CA`); `None`: clients are asked for none.
    pub certificates: Option<CertificateUse>,
    /// Accepted keys of operators (`OPS_KEYS` and its file); where none are required, those of clients.
    pub ops_keys: KeyStore,
    /// The authorization server beside the edge (`OAUTH_BROKER`), whose tokens let clients in.
    pub authority: Option<Arc<dyn Authority>>,
    /// Who may ask where no keys are required (`ALLOW_ANONYMOUS`).
    pub anonymous: AnonymousAccess,
    /// Which hosts requests may name (`ALLOWED_HOSTS`, `PUBLIC_URL`).
    pub hosts: AllowedHosts,
    /// A header that may carry a key in place of `Authorization: Bearer` (`AUTH_CUSTOM_HEADER`).
    pub key_header: Option<HeaderName>,
    /// Which web pages may ask (`ALLOWED_ORIGINS`).
    pub origins: AllowedOrigins,
    /// Who can reach the server.
    pub exposure: BindScope,
    /// Whose word on the client's address counts (`TRUSTED_PROXIES`).
    pub trusted: TrustedProxies,
    /// Longest request body in bytes (`MAX_BODY_BYTES`).
    pub max_body: usize,
    /// What clients may use (`MAX_BODIES_BYTES`, `MAX_CONNECTIONS` and others).
    pub limits: ClientLimits,
    /// Seal and open session ids; the same in every replica (`SESSION_KEY` and its file).
    pub session_keys: SessionKeys,
    /// How long a session lasts, counted from `initialize` (`SESSION_TTL`).
    pub session_ttl: Duration,
    /// How long a modern client may keep a list (`LIST_TTL_MS`).
    pub list_ttl: Duration,
    /// Silence after which a stream of events sends a comment (`SSE_KEEPALIVE`).
    pub keepalive: Duration,
    /// Silence after which a call opens its stream of events (`SSE_AFTER_MS`).
    pub sse_after: Duration,
    /// The silence after which a call is given up (`REQUEST_TIMEOUT`): passed on in call headers, and the time
    /// that a client has to send its body.
    pub request_timeout: Duration,
    /// The longest time that a call may take (`REQUEST_TIMEOUT_TOTAL`): passed on in call headers.
    pub request_timeout_total: Duration,
    /// Which operators may read what (`POLICY`); `None`: all who are let in may read all.
    pub policy: Option<PolicyStore>,
}

impl EdgeConfig {
    /// Whether clients have to prove who they are, by a key, a token or a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        self.has_keys_or_tokens() || self.certificates.is_some()
    }

    fn has_keys_or_tokens(&self) -> bool {
        self.keys.is_required() || self.tokens.is_some() || self.authority.is_some()
    }

    /// Whether a certificate alone lets a client in.
    pub(crate) fn lets_in_by_certificate(&self) -> bool {
        match self.certificates {
            None => false,
            Some(CertificateUse::Accepted) => true,
            Some(CertificateUse::Required) => !self.has_keys_or_tokens(),
        }
    }

    /// The same, with this use of clients' certificates.
    #[must_use]
    pub fn with_certificates(self, certificates: Option<CertificateUse>) -> Self {
        Self { certificates, ..self }
    }

    /// The same, behind these proxies.
    #[must_use]
    pub fn behind(self, trusted: TrustedProxies) -> Self {
        Self { trusted, ..self }
    }

    /// The same, with roles of operators by this policy.
    #[must_use]
    pub fn under(self, policy: Option<PolicyStore>) -> Self {
        Self { policy, ..self }
    }

    /// The same, with an authorization server beside it.
    #[must_use]
    pub fn with_authority(self, authority: Option<Arc<dyn Authority>>) -> Self {
        Self { authority, ..self }
    }

    /// The documented defaults: no keys, local addresses and loopback origins only, 16 MiB, one day, 5 s, 15 s, 300 s, 3600 s.
    pub fn new(name: &str, version: &str, session_keys: impl Into<SessionKeys>) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            role: "server".to_owned(),
            keys: KeyStore::default(),
            tokens: None,
            certificates: None,
            ops_keys: KeyStore::default(),
            authority: None,
            anonymous: AnonymousAccess::Local,
            hosts: AllowedHosts::default(),
            key_header: None,
            origins: AllowedOrigins::Loopback,
            exposure: BindScope::Network,
            trusted: TrustedProxies::default(),
            max_body: 16 * 1024 * 1024,
            limits: ClientLimits::default(),
            session_keys: session_keys.into(),
            session_ttl: Duration::from_hours(24),
            list_ttl: Duration::from_secs(5),
            keepalive: Duration::from_secs(15),
            sse_after: Duration::from_secs(2),
            request_timeout: Duration::from_mins(5),
            request_timeout_total: Duration::from_hours(1),
            policy: None,
        }
    }
}
