//! Values of the `Mcp-*` headers (2026-07-28, Streamable HTTP, "Value Encoding"). Must not know what they mean.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Reason why a header has no usable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadValue {
    /// The header is repeated: readers might not agree on which value counts.
    Repeated,
    /// The value has characters that are not visible ASCII.
    Characters,
    /// The value is `=?base64?…?=` around something that is not Base64 of UTF-8.
    Encoding,
}

impl BadValue {
    /// Returns the reason as the predicate of a sentence about the header.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Repeated => "stands there twice",
            Self::Characters => "has invalid characters",
            Self::Encoding => "is not valid Base64 of UTF-8",
        }
    }
}

/// Returns the only value of a header, undecoded; `None` if the header is absent.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, BadValue> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadValue::Repeated);
    }
    first.to_str().map(Some).map_err(|_| BadValue::Characters)
}

/// Decodes a value that has the Base64 form; returns any other unchanged.
pub(crate) fn decode(value: &str) -> Result<Cow<'_, str>, BadValue> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inner).map_err(|_| BadValue::Encoding)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadValue::Encoding)
}

/// Decodes the raw value of a header.
pub(crate) fn decode_value(value: &HeaderValue) -> Result<Cow<'_, str>, BadValue> {
    decode(value.to_str().map_err(|_| BadValue::Characters)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specification_are_decoded() {
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
