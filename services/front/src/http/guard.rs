//! Access checks of a request: the page's origin, the host name, the key, the address. Must not know what is requested.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri};
use protocol::mcp::failure::Failure;
use runtime::config::{AllowedOrigins, AnonymousAccess, is_loopback_authority};
use runtime::keys::{Key, KeyStore};
use runtime::tls::{CertificateUse, ClientCertificate};
use runtime::tokens::TokenError;

use super::metadata::Shown;
use super::presented::{Presented, PresentedTexts};
use super::revocation::{Ending, TextEnding, TextEndings};
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
/// it showed. Each key, token and certificate that is shown has to be good: none makes up for another one. A bearer key or token says who
/// the sender is, else the key of the configured header; a certificate is something beside it.
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
    let (credential, texts) = if is_enough && Presented::of(config, &head.headers).is_empty() {
        (Credential::ANONYMOUS, TextEndings::default())
    } else {
        authenticate_by_text(config, peer, &head.headers).await?
    };
    let ending = Ending::of(texts, certificate.clone());
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

/// Returns the sender of a client's request by the keys and tokens that it shows, and the ends of these.
async fn authenticate_by_text(
    config: &EdgeConfig,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(Credential, TextEndings), Failure> {
    if !config.asks_clients() {
        return Ok((authenticate(config, Audience::Clients, peer, headers)?, TextEndings::default()));
    }
    let PresentedTexts { bearer, custom } = Presented::of(config, headers).texts()?;
    let revocation = |key: &Arc<Key>| config.keys.revocation(key).map(TextEnding::Key);
    let is_issued = bearer.is_some_and(|text| is_of_authority(config, text));
    let may_be_token = is_issued || config.tokens.is_some();
    let Some(token) = bearer.filter(|text| may_be_token && !is_key(config, text)) else {
        let keys = accepted_keys(config, Audience::Clients, PresentedTexts { bearer, custom })?;
        let [first, beside] = keys.each_ref().map(|key| key.as_ref().and_then(revocation));
        let endings = TextEndings { first, beside };
        return Ok((credential_of(keys)?, endings));
    };
    // It is no identity beside a token, and has to be good all the same.
    let [beside, _] = accepted_keys(config, Audience::Clients, PresentedTexts { bearer: None, custom })?;
    let beside = beside.as_ref().and_then(revocation);
    // Boxed, since most requests do not come here, and a request's future has room for all of it.
    let (credential, first) = Box::pin(verify(config, token)).await?;
    Ok((credential, TextEndings { first: Some(first), beside }))
}

/// Returns the holder of a token and its end.
async fn verify(config: &EdgeConfig, token: &[u8]) -> Result<(Credential, TextEnding), Failure> {
    if let Some(authority) = config.authority.as_ref().filter(|authority| authority.is_token(token)) {
        let issued = Arc::clone(authority).verify(token);
        let issued = issued.ok_or(Failure::Unauthorized("the access token is not valid".into()))?;
        return Ok((Credential::of_token(issued.token), TextEnding::Issued(issued.end)));
    }
    let Some(tokens) = &config.tokens else { return Err(not_accepted()) };
    let token = tokens.verify(token).await.map_err(|error| match error {
        TokenError::Invalid(reason) => Failure::Unauthorized(reason.to_owned()),
        TokenError::Scopes(scopes) => Failure::InsufficientScope { scopes },
        TokenError::Unavailable { issuer } => Failure::IssuerUnavailable { issuer },
    })?;
    let ending = TextEnding::Token(Box::new(tokens.revocation(&token)));
    Ok((Credential::of_token((&token).into()), ending))
}

/// Returns whether a text is a token of the authorization server beside the edge, or would be one.
fn is_of_authority(config: &EdgeConfig, text: &[u8]) -> bool {
    config.authority.as_ref().is_some_and(|authority| authority.is_token(text))
}

/// Returns whether a text is a key, be it one for other endpoints.
fn is_key(config: &EdgeConfig, text: &[u8]) -> bool {
    config.keys.is_required() && config.keys.find(text).is_some() || config.ops_keys.find(text).is_some()
}

/// Returns whether a request shows a bearer credential.
pub(crate) fn shown(config: &EdgeConfig, headers: &HeaderMap) -> Shown {
    if Presented::of(config, headers).has_bearer() { Shown::Bearer } else { Shown::Nothing }
}

/// Returns the keys that a request presents: that of the bearer header first.
///
/// # Errors
/// Any of them is not accepted here.
fn accepted_keys(
    config: &EdgeConfig,
    audience: Audience,
    PresentedTexts { bearer, custom }: PresentedTexts<'_>,
) -> Result<[Option<Arc<Key>>; 2], Failure> {
    let (accepted, others) = audience.keys(config);
    let check = |text: &[u8]| match accepted.find(text) {
        Some(key) => Ok(key),
        None if others.find(text).is_some() || is_of_authority(config, text) => Err(audience.key_forbidden()),
        None => Err(not_accepted()),
    };
    let (bearer, custom) = (bearer.map(check).transpose()?, custom.map(check).transpose()?);
    Ok(if bearer.is_some() { [bearer, custom] } else { [custom, None] })
}

/// Returns the holder of the first of these keys.
fn credential_of([first, _]: [Option<Arc<Key>>; 2]) -> Result<Credential, Failure> {
    first.map(Credential::of_key).ok_or_else(|| Failure::Unauthorized("no key or token".into()))
}

fn not_accepted() -> Failure {
    Failure::Unauthorized("the key is not accepted".into())
}

/// Returns the sender of a request whose connection comes from `peer` (`None`: from this process), by its keys.
///
/// The key is that of `Authorization: Bearer`, else that of the configured header; both have to be good where both are shown. Where no
/// keys are set, requests from this machine and private networks are let in, others only with `ALLOW_ANONYMOUS`.
pub(crate) fn authenticate(
    config: &EdgeConfig,
    audience: Audience,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<Credential, Failure> {
    let presented = Presented::of(config, headers);
    let is_asked = match audience {
        Audience::Clients => config.asks_clients(),
        Audience::Operators => audience.keys(config).0.is_required(),
    };
    if is_asked {
        return credential_of(accepted_keys(config, audience, presented.texts()?)?);
    }
    let (_, others) = audience.keys(config);
    let is_foreign = |text: &[u8]| others.find(text).is_some() || is_of_authority(config, text);
    if presented.all().any(is_foreign) {
        return Err(audience.key_forbidden());
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
    let is_foreign = |text: &[u8]| others.find(text).is_some() && accepted.find(text).is_none();
    if Presented::of(config, headers).all().any(is_foreign) {
        return Err(Audience::Operators.key_forbidden());
    }
    Ok(())
}
