//! Access checks of a request: the page's origin, the host name, the key. Must not know what is requested.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use protocol::mcp::failure::Failure;
use runtime::config::{AllowedOrigins, is_loopback_authority};

use crate::config::{BindScope, EdgeConfig};
use crate::method::truncate;
use crate::principal::Principal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses web pages whose origin is not allowed (2026-07-28, Streamable HTTP, "Security & Endpoint"). Returns the
/// origin that the response names, if the request has one.
///
/// Browsers send `Origin` with every POST, so a page that reaches a loopback server under a foreign host name (DNS
/// rebinding) is recognised by it. With a GET of the same site they send no `Origin`, but always `Sec-Fetch-Site`,
/// which scripts can neither set nor remove: for such requests the host name is checked. Other programs and ingresses
/// may use any host name.
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

fn forbidden(value: &HeaderValue) -> Failure {
    Failure::OriginForbidden(truncate(&String::from_utf8_lossy(value.as_bytes())))
}

/// Returns the identity of a request's key: that of `Authorization: Bearer`, else that of the configured header. Every
/// request is accepted where no keys are set.
pub(crate) fn authenticate(config: &EdgeConfig, headers: &HeaderMap) -> Result<Principal, Failure> {
    if config.keys.is_empty() {
        return Ok(Principal::ANYONE);
    }
    let custom = config.key_header.as_ref().and_then(|name| headers.get(name)).map(HeaderValue::as_bytes);
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer_key(value.as_bytes()));
    let check = |key: Option<&[u8]>| key.and_then(|key| Principal::identify(&config.keys, key));
    check(bearer).or_else(|| check(custom)).ok_or_else(|| {
        Failure::Unauthorized(match (bearer, custom) {
            (None, None) => "no key".into(),
            _ => "the key is not accepted".into(),
        })
    })
}

/// Returns the key of a bearer header. The name of the scheme is case-insensitive (RFC 9110, 11.1).
fn bearer_key(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}
