//! Values of the `Mcp-*` headers (2026-07-28, Streamable HTTP, "Value Encoding"). Must not know what they name.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why a header has no usable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadValue {
    /// It stands there more than once: readers might not agree on which counts.
    Twice,
    /// Characters that a header must not have.
    Characters,
    /// `=?base64?…?=` around something that is not Base64 of UTF-8.
    Encoding,
}

impl BadValue {
    /// For a message.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Twice => "stands there twice",
            Self::Characters => "has invalid characters",
            Self::Encoding => "is not valid Base64 of UTF-8",
        }
    }
}

/// The one value of a header, as it stands.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, BadValue> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadValue::Twice);
    }
    first.to_str().map(Some).map_err(|_| BadValue::Characters)
}

/// A value, out of its Base64 wrapping if it has one.
pub(crate) fn decode(value: &str) -> Result<Cow<'_, str>, BadValue> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inner).map_err(|_| BadValue::Encoding)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadValue::Encoding)
}

/// As [`single`] and [`decode`], for a value that is at hand.
pub(crate) fn decode_value(value: &HeaderValue) -> Result<Cow<'_, str>, BadValue> {
    decode(value.to_str().map_err(|_| BadValue::Characters)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_examples() {
        for (header, value) in [
            ("us-west1", "us-west1"),
            ("=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
            ("=?base64?IHBhZGRlZCA=?=", " padded "),
            ("=?base64?bGluZTEKbGluZTI=?=", "line1\nline2"),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
            ("SGVsbG8=", "SGVsbG8="),
            ("=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
            ("=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?="),
            ("=?base64??=", ""),
        ] {
            assert_eq!(decode(header).unwrap(), value);
        }
        for bad in ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?="] {
            assert_eq!(decode(bad), Err(BadValue::Encoding), "{bad}");
        }
    }
}
