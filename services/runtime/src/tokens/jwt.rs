//! A JSON web token (RFC 7519) in its compact form, and the checks of it that need no key. Must not know where keys are.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::SigningAlgorithm;
use super::error::TokenError;
use super::file::media_type;
use super::issuer::Issuer;

/// Bytes of a token.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// Members of a header that are read. Others are of no consequence here, those that name keys above all.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that must be understood: there are none.
    crit: Option<Value>,
    /// Members of encrypted tokens.
    enc: Option<Value>,
    zip: Option<Value>,
}

/// A token whose signature has not been checked.
pub(super) struct Unverified<'a> {
    header: Header,
    pub(super) claims: Map<String, Value>,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Returns whether a text has the form of a token: three parts, whose first is a JSON object. Any other text is opaque.
    pub(super) fn is_jwt(text: &str) -> bool {
        let mut parts = text.split('.');
        let header = parts.next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        parts.count() == 2 && header.is_some_and(|header| header.trim_ascii_start().starts_with(b"{"))
    }

    /// Parses a token.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let malformed = TokenError::Invalid("the token is malformed");
        let parts = || -> Option<Self> {
            let (message, signature) = token.rsplit_once('.')?;
            let (header, payload) = message.split_once('.')?;
            let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
            let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
            Some(Self { header, claims, message: message.as_bytes(), signature })
        };
        let jwt = parts().ok_or(malformed)?;
        if jwt.header.crit.is_some() || jwt.header.enc.is_some() || jwt.header.zip.is_some() {
            return Err(TokenError::Invalid("the token uses extensions that are not known here"));
        }
        Ok(jwt)
    }

    /// Returns who the token says has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Returns the id of the key, where the token names one.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Returns the algorithm of the signature, if the issuer may sign by it and the token is of a type that is accepted.
    pub(super) fn check_header(&self, issuer: &Issuer) -> Result<SigningAlgorithm, TokenError> {
        let found = self.header.typ.as_deref().map_or_else(|| Issuer::NO_TYPE.to_owned(), media_type);
        let is_absent = self.header.typ.is_none();
        // A token of the type "none" is not one without a type.
        if !issuer.types.contains(&found) || !is_absent && found == Issuer::NO_TYPE {
            return Err(TokenError::Invalid("the token is of a type (typ) that is not accepted"));
        }
        SigningAlgorithm::parse(&self.header.alg)
            .filter(|algorithm| issuer.algorithms.contains(algorithm))
            .ok_or(TokenError::Invalid("the token is signed by an algorithm that is not accepted"))
    }

    /// Checks the times of the token against `now`, in seconds since 1970, and returns when it expires.
    pub(super) fn check_times(&self, issuer: &Issuer, now: u64) -> Result<u64, TokenError> {
        let expires =
            seconds(&self.claims, "exp")?.ok_or(TokenError::Invalid("the token has no time of expiry"))?;
        let end = expires.saturating_add(issuer.leeway);
        if end <= now {
            return Err(TokenError::Invalid("the token has expired"));
        }
        let latest = now.saturating_add(issuer.leeway);
        for begin in ["nbf", "iat"] {
            if seconds(&self.claims, begin)?.is_some_and(|begin| begin > latest) {
                return Err(TokenError::Invalid("the token is not valid yet"));
            }
        }
        Ok(end)
    }
}

/// Returns a time of the claims, in whole seconds since 1970.
pub(super) fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let whole = value.as_u64().or_else(|| {
        // RFC 7519 allows fractions; seconds since 1970 are exact in this type.
        let fraction = value.as_f64().filter(|seconds| (0.0..=9.0e15).contains(seconds))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Some(fraction as u64)
    });
    whole.map(Some).ok_or(TokenError::Invalid("the token has a time that cannot be read"))
}
