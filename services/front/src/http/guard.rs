//! Access checks of a request: the page's origin, the host name, the key, the address. Must not know what is requested.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri};
use protocol::mcp::failure::Failure;
use runtime::config::{AllowedOrigins, AnonymousAccess, is_loopback_authority};
use runtime::keys::KeyStore;
use runtime::tls::{CertificateUse, ClientCertificate};
use runtime::tokens::TokenError;

use super::metadata::Shown;
use super::revocation::{Ending, TextEnding};
use crate::config::{BindScope, EdgeConfig};
use crate::method::truncate;
use crate::principal::Credential;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Header of commands. A page of another origin can send it only after a preflight, which is never granted.
const COMMAND: HeaderName = HeaderName::from_static("x-mcp-relay-command");

/// The callers that an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// MCP clients.
    Clients,
    /// Operators: metrics, API and status page.
    Operators,
}

impl Audience {
    /// Returns the keys that are accepted, and those that are known but for others. Clients' keys are operators' keys too
    /// where operators have none of their own.
    pub(crate) fn keys(self, config: &EdgeConfig) -> (&KeyStore, &KeyStore) {
        match self {
            Self::Operators if config.ops_keys.is_required() => (&config.ops_keys, &config.keys),
            Self::Clients | Self::Operators => (&config.keys, &config.ops_keys),
        }
    }

    fn key_forbidden(self) -> Failure {
        Failure::KeyForbidden(match self {
            Self::Clients => "an operators' key (OPS_KEYS) calls no tool",
            Self::Operators => {
                "a client's key reads nothing here: operators have keys of their own (OPS_KEYS)"
            }
        })
    }
}

/// Refuses web pages whose origin is not allowed (2026-07-28, Streamable HTTP, "Security & Endpoint"). Returns the
/// origin that the response names, if the request has one.
///
/// Browsers send `Origin` with every POST, so a page that reaches a loopback server under a foreign host name (DNS
/// rebinding) is recognised by it. With a GET of the same site they send no `Origin`, but always `Sec-Fetch-Site`,
/// which scripts can neither set nor remove: for such requests the host name is checked here, whatever keys are set.
pub(crate) fn check_origin<'a>(
    config: &EdgeConfig,
    headers: &'a HeaderMap,
) -> Result<Option<&'a HeaderValue>, Failure> {
    if let Some(origin) = headers.get(ORIGIN) {
        let text = origin.to_str().unwrap_or_default();
        let is_single = headers.get_all(ORIGIN).iter().nth(1).is_none();
        let is_allowed = is_single && config.origins.allows(text);
        return if is_allowed { Ok(Some(origin)) } else { Err(forbidden(origin)) };
    }
    let checks_host = config.exposure == BindScope::Loopback && config.origins == AllowedOrigins::Loopback;
    match headers.get(HOST) {
        Some(host) if checks_host && headers.contains_key(SEC_FETCH_SITE) => {
            if host.to_str().is_ok_and(is_loopback_authority) { Ok(None) } else { Err(forbidden(host)) }
        }
        _ => Ok(None),
    }
}

/// Refuses commands that a page of another origin may have made a browser send, also one that may read (`ALLOWED_ORIGINS`).
///
/// Browsers send `Sec-Fetch-Site` to addresses that they trust (TLS, loopback); to others `Origin` has to name the host that was asked.
pub(crate) fn check_own_page(headers: &HeaderMap) -> Result<(), Failure> {
    if !headers.contains_key(COMMAND) {
        return Err(Failure::Forbidden(format!("a command needs the header {COMMAND}: 1")));
    }
    let is_own = match (headers.get(SEC_FETCH_SITE), headers.get(ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, None) => true,
        (None, Some(origin)) => {
            let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
            let of_origin = origin.as_bytes().split(|byte| *byte == b'/').nth(2);
            of_origin.is_some_and(|named| !named.is_empty() && named.eq_ignore_ascii_case(host))
        }
    };
    if is_own {
        return Ok(());
    }
    Err(Failure::Forbidden(
        "pages of other origins give no commands: use the status page of this server".into(),
    ))
}

fn forbidden(value: &HeaderValue) -> Failure {
    Failure::OriginForbidden(truncate(&String::from_utf8_lossy(value.as_bytes())))
}

/// Refuses requests that name a host which is not allowed, in the target or in `Host` (DNS rebinding). A request that
/// names none comes from no browser.
pub(crate) fn check_host(
    config: &EdgeConfig,
    audience: Audience,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    let is_keyed = match audience {
        Audience::Clients => config.asks_clients(),
        Audience::Operators => audience.keys(config).0.is_required(),
    };
    let hosts = &config.hosts;
    let is_allowed =
        |host: &str| if is_keyed { hosts.allows_with_key(host) } else { hosts.allows_without_key(host) };
    let refused = |host: &str| Failure::HostForbidden(truncate(host));
    if let Some(host) = uri.authority().map(axum::http::uri::Authority::as_str)
        && !is_allowed(host)
    {
        return Err(refused(host));
    }
    for host in headers.get_all(HOST) {
        // A value that is no text names no allowed host.
        if !host.to_str().is_ok_and(is_allowed) {
            return Err(refused(&String::from_utf8_lossy(host.as_bytes())));
        }
    }
    Ok(())
}

/// Returns the sender of a client's request whose connection comes from `peer` (`None`: from this process), and the end of what
/// it showed. A bearer key or token that is shown decides alone, whatever other text is shown; a certificate is something beside it.
/// Neither lets anybody in whose other part is no good.
pub(crate) async fn authenticate_client(
    config: &EdgeConfig,
    peer: Option<IpAddr>,
    head: &Parts,
) -> Result<(Credential, Option<Ending>), Failure> {
    let certificate = check_certificate(config, &head.extensions)?;
    if certificate.is_none() && config.certificates == Some(CertificateUse::Required) {
        return Err(Failure::Unauthorized("no certificate, which each client has to show here".to_owned()));
    }
    let is_enough = certificate.is_some() && config.lets_in_by_certificate();
    let (credential, ending) = if is_enough && PresentedKeys::of(config, &head.headers).is_empty() {
        (Credential::ANONYMOUS, None)
    } else {
        authenticate_by_text(config, peer, &head.headers).await?
    };
    let ending = Ending::of(ending, certificate.clone());
    Ok((Credential { certificate, ..credential }, ending))
}

/// Returns the certificate that the client of a request has shown, if clients are asked for one.
pub(crate) fn check_certificate(
    config: &EdgeConfig,
    shown: &Extensions,
) -> Result<Option<Arc<ClientCertificate>>, Failure> {
    if config.certificates.is_none() {
        return Ok(None);
    }
    match shown.get::<Arc<ClientCertificate>>() {
        None => Ok(None),
        Some(certificate) if certificate.is_valid() => Ok(Some(Arc::clone(certificate))),
        Some(_) => {
            Err(Failure::Unauthorized("the certificate is not, or no longer, one of a client".to_owned()))
        }
    }
}

/// Returns the sender of a client's request by the key or token that it shows, and the end of that.
async fn authenticate_by_text(
    config: &EdgeConfig,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(Credential, Option<TextEnding>), Failure> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer_key(value.as_bytes()));
    let bearer = if config.asks_clients() { only(bearer)? } else { None };
    if let Some((authority, token)) = config.authority.as_ref().zip(bearer)
        && authority.is_token(token)
    {
        let issued = Arc::clone(authority).verify(token);
        let issued = issued.ok_or(Failure::Unauthorized("the access token is not valid".into()))?;
        return Ok((Credential::of_token(issued.token), Some(TextEnding::Issued(issued.end))));
    }
    let shown = config.tokens.as_ref().zip(bearer);
    let Some((tokens, bearer)) = shown.filter(|(_, bearer)| !is_key(config, bearer)) else {
        let credential = authenticate(config, Audience::Clients, peer, headers)?;
        let key = credential.key.as_deref();
        let ending = key.and_then(|key| config.keys.revocation(key)).map(TextEnding::Key);
        return Ok((credential, ending));
    };
    // Boxed, since most requests do not come here, and a request's future has room for all of it.
    let token = Box::pin(tokens.verify(bearer)).await.map_err(|error| match error {
        TokenError::Invalid(reason) => Failure::Unauthorized(reason.to_owned()),
        TokenError::Scopes(scopes) => Failure::InsufficientScope { scopes },
        TokenError::Unavailable { issuer } => Failure::IssuerUnavailable { issuer },
    })?;
    let ending = Some(TextEnding::Token(Box::new(tokens.revocation(&token))));
    Ok((Credential::of_token((&token).into()), ending))
}

/// Returns whether a text is a key, be it one for other endpoints.
fn is_key(config: &EdgeConfig, text: &[u8]) -> bool {
    config.keys.is_required() && config.keys.find(text).is_some() || config.ops_keys.find(text).is_some()
}

/// Returns the only credential of a request. Readers of several might not agree on which counts.
fn only<'a>(mut shown: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Failure> {
    let first = shown.next();
    match shown.next() {
        None => Ok(first),
        Some(_) => Err(Failure::Unauthorized("two bearer credentials are shown".to_owned())),
    }
}

/// Returns whether a request shows a bearer credential.
pub(crate) fn shown(headers: &HeaderMap) -> Shown {
    let is_shown = headers.get_all(AUTHORIZATION).iter().any(|value| bearer_key(value.as_bytes()).is_some());
    if is_shown { Shown::Bearer } else { Shown::Nothing }
}

/// Returns the sender of a request whose connection comes from `peer` (`None`: from this process).
///
/// The key is that of `Authorization: Bearer`, else that of the configured header. Where no keys are set, requests from
/// this machine and private networks are let in, others only with `ALLOW_ANONYMOUS`.
pub(crate) fn authenticate(
    config: &EdgeConfig,
    audience: Audience,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<Credential, Failure> {
    let (accepted, others) = audience.keys(config);
    let presented = PresentedKeys::of(config, headers);
    if accepted.is_required()
        && let Some(credential) = presented.find(accepted)
    {
        return Ok(credential);
    }
    if presented.find(others).is_some() {
        return Err(audience.key_forbidden());
    }
    if presented
        .bearer
        .is_some_and(|text| config.authority.as_ref().is_some_and(|known| known.is_token(text)))
    {
        return Err(audience.key_forbidden());
    }
    let is_asked = match audience {
        Audience::Clients => config.asks_clients(),
        Audience::Operators => accepted.is_required(),
    };
    if is_asked {
        return Err(presented.refusal());
    }
    let is_local = peer.is_none_or(|peer| config.trusted.is_local(peer, headers));
    match config.anonymous {
        AnonymousAccess::Local if !is_local => Err(Failure::AnonymousRefused),
        AnonymousAccess::Local | AnonymousAccess::Everyone => Ok(Credential::ANONYMOUS),
    }
}

/// Refuses a request to a static page of operators that presents a client's key. The page needs no key: it says nothing of
/// this server.
pub(crate) fn check_page_key(config: &EdgeConfig, headers: &HeaderMap) -> Result<(), Failure> {
    let (accepted, others) = Audience::Operators.keys(config);
    let presented = PresentedKeys::of(config, headers);
    let is_foreign = presented.find(others).is_some() && presented.find(accepted).is_none();
    if is_foreign { Err(Audience::Operators.key_forbidden()) } else { Ok(()) }
}

/// The keys that a request presents.
struct PresentedKeys<'a> {
    bearer: Option<&'a [u8]>,
    custom: Option<&'a [u8]>,
}

impl<'a> PresentedKeys<'a> {
    fn of(config: &EdgeConfig, headers: &'a HeaderMap) -> Self {
        let custom = config.key_header.as_ref().and_then(|name| headers.get(name)).map(HeaderValue::as_bytes);
        let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer_key(value.as_bytes()));
        Self { bearer, custom }
    }

    /// Whether the request presents none, not even a wrong one.
    fn is_empty(&self) -> bool {
        self.bearer.is_none() && self.custom.is_none()
    }

    fn find(&self, keys: &KeyStore) -> Option<Credential> {
        let check = |key: Option<&[u8]>| key.and_then(|key| keys.find(key));
        check(self.bearer).or_else(|| check(self.custom)).map(Credential::of_key)
    }

    fn refusal(&self) -> Failure {
        Failure::Unauthorized(match (self.bearer, self.custom) {
            (None, None) => "no key or token".into(),
            _ => "the key is not accepted".into(),
        })
    }
}

/// Returns the key of a bearer header. The name of the scheme is case-insensitive (RFC 9110, 11.1).
fn bearer_key(value: &[u8]) -> Option<&[u8]> {
    // Without a key, what is left of the header is the scheme: a bearer header that shows nothing valid.
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, key) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key.trim_ascii())
}
