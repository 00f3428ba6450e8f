//! Who may ask at all: the page, the host name, the key. Must not know what is asked.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use protocol::mcp::failure::Failure;

use crate::config::{BindScope, EdgeConfig};
use crate::keys::Principal;
use crate::origin::{Origins, is_loopback};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses pages that may not ask (2026-07-28, Streamable HTTP, "Security & Endpoint"). Gives the origin to answer.
///
/// A page that reaches a loopback server under a foreign host name (DNS rebinding) shows itself by its `Origin`, which
/// browsers send with every POST. On a GET of the same "site" they leave it out, but scripts can neither set nor
/// remove `Sec-Fetch-Site`: then the host name is looked at. Other programs and ingresses may use any host name.
pub(crate) fn check_origin<'a>(
    config: &EdgeConfig,
    headers: &'a HeaderMap,
) -> Result<Option<&'a HeaderValue>, Failure> {
    if let Some(origin) = headers.get(ORIGIN) {
        let text = origin.to_str().unwrap_or_default();
        let only = headers.get_all(ORIGIN).iter().nth(1).is_none();
        return if only && config.origins.allow(text) { Ok(Some(origin)) } else { Err(forbidden(origin)) };
    }
    let rebinding_matters = config.exposure == BindScope::Loopback && config.origins == Origins::Loopback;
    match headers.get(HOST) {
        Some(host) if rebinding_matters && headers.contains_key(SEC_FETCH_SITE) => {
            let local = host.to_str().is_ok_and(is_loopback);
            if local { Ok(None) } else { Err(forbidden(host)) }
        }
        _ => Ok(None),
    }
}

fn forbidden(value: &HeaderValue) -> Failure {
    Failure::OriginForbidden(crate::method::truncate(&String::from_utf8_lossy(value.as_bytes())))
}

/// Who asks, by the key shown (EXISTING.md, "Environment beyond the document").
pub(crate) fn authenticate(config: &EdgeConfig, headers: &HeaderMap) -> Result<Principal, Failure> {
    if config.keys.is_empty() {
        return Ok(Principal::ANYONE);
    }
    let custom = config.key_header.as_ref().and_then(|name| headers.get(name)).map(HeaderValue::as_bytes);
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let by = |shown: Option<&[u8]>| shown.and_then(|key| config.keys.check(key));
    by(bearer).or_else(|| by(custom)).ok_or_else(|| {
        Failure::Unauthorized(match (bearer, custom) {
            (None, None) => "no key".into(),
            _ => "the key is not accepted".into(),
        })
    })
}

/// The key of a bearer header. The scheme's name may be written in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}
