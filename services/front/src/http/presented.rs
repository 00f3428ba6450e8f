//! The keys and tokens that a request presents, by all the ways on which it may. Must not know which are accepted.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use protocol::mcp::failure::Failure;

use crate::config::EdgeConfig;

/// The keys and tokens of a request.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    headers: &'a HeaderMap,
    key_header: Option<&'a HeaderName>,
}

/// What a request presents, at most one text on each way.
#[derive(Clone, Copy)]
pub(super) struct PresentedTexts<'a> {
    /// That of `Authorization: Bearer`.
    pub(super) bearer: Option<&'a [u8]>,
    /// That of `AUTH_CUSTOM_HEADER`.
    pub(super) custom: Option<&'a [u8]>,
}

impl<'a> Presented<'a> {
    pub(super) fn of(config: &'a EdgeConfig, headers: &'a HeaderMap) -> Self {
        Self { headers, key_header: config.key_header.as_ref() }
    }

    /// Returns all texts, be they good or not.
    pub(super) fn all(self) -> impl Iterator<Item = &'a [u8]> {
        self.bearers().chain(self.customs())
    }

    /// Returns whether the request presents none, not even a wrong one.
    pub(super) fn is_empty(self) -> bool {
        self.all().next().is_none()
    }

    /// Returns whether the request presents a bearer credential.
    pub(super) fn has_bearer(self) -> bool {
        self.bearers().next().is_some()
    }

    /// Returns the texts where there is at most one on each way: readers of several might not agree on which of them counts.
    ///
    /// # Errors
    /// There are two on one way.
    pub(super) fn texts(self) -> Result<PresentedTexts<'a>, Failure> {
        Ok(PresentedTexts { bearer: only(self.bearers())?, custom: only(self.customs())? })
    }

    fn bearers(self) -> impl Iterator<Item = &'a [u8]> {
        self.headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer_key(value.as_bytes()))
    }

    fn customs(self) -> impl Iterator<Item = &'a [u8]> {
        let values = self.key_header.into_iter().flat_map(|name| self.headers.get_all(name));
        let values = values.map(HeaderValue::as_bytes);
        // `Authorization` itself may be the header of keys, too: without the name of a scheme.
        let is_own = self.key_header != Some(&AUTHORIZATION);
        values.filter(move |value| is_own || bearer_key(value).is_none())
    }
}

fn only<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Failure> {
    let first = texts.next();
    match texts.next() {
        None => Ok(first),
        Some(_) => Err(Failure::Unauthorized("two credentials are shown in one way".to_owned())),
    }
}

/// Returns the key of a bearer header. The name of the scheme is case-insensitive (RFC 9110, 11.1).
fn bearer_key(value: &[u8]) -> Option<&[u8]> {
    // Without a key, what is left of the header is the scheme: a bearer header that shows nothing valid.
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, key) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key.trim_ascii())
}
