//! Results of `tools/call`: their type for modern clients, and whether they report an error of the tool.
//!
//! Results are searched for a member's name before they are parsed: the names are rare, and searching is ten times faster.
//! Must not know who wrote a result or who gets it.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Member that a modern result has and a legacy one lacks (2026-07-28, Overview, "`ResultType`").
const RESULT_TYPE: &[u8] = br#""resultType":"complete""#;

/// Returns a legacy server's result for a modern client: with `resultType` in front where the result has none. Anything else
/// than an object stays as it is.
pub fn with_result_type(result: Bytes) -> Bytes {
    #[derive(Deserialize)]
    struct Outside {
        #[serde(rename = "resultType", default)]
        result_type: Option<IgnoredAny>,
    }
    let has_type = memmem::find(&result, b"\"resultType\"").is_some()
        && serde_json::from_slice::<Outside>(&result).is_ok_and(|outside| outside.result_type.is_some());
    let Some(inside) = result.strip_prefix(b"{").filter(|_| !has_type) else { return result };
    let comma: &[u8] = if inside.trim_ascii_start().starts_with(b"}") { b"" } else { b"," };
    [b"{", RESULT_TYPE, comma, inside].concat().into()
}

/// Returns whether a result says `isError: true`.
pub fn is_tool_error(result: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Outside {
        #[serde(rename = "isError", default)]
        is_error: bool,
    }
    memmem::find(result, b"\"isError\"").is_some()
        && serde_json::from_slice::<Outside>(result).is_ok_and(|outside| outside.is_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_gets_its_type_once() {
        let typed = |text: &'static str| {
            String::from_utf8(with_result_type(Bytes::from_static(text.as_bytes())).into()).unwrap()
        };
        assert_eq!(typed("{ }"), r#"{"resultType":"complete" }"#);
        assert_eq!(typed(r#"{"content":[1e2]}"#), r#"{"resultType":"complete","content":[1e2]}"#);
        assert_eq!(typed(r#"{"a":{"resultType":1}}"#), r#"{"resultType":"complete","a":{"resultType":1}}"#);
        assert_eq!(typed(r#"{"a":1,"resultType":"x"}"#), r#"{"a":1,"resultType":"x"}"#);
        assert_eq!(typed("[1]"), "[1]");
    }

    #[test]
    fn a_tool_error_is_seen_on_the_outside_only() {
        assert!(is_tool_error(br#"{"content":[],"isError": true}"#));
        assert!(!is_tool_error(br#"{"content":[],"isError":false}"#));
        assert!(!is_tool_error(br#"{"structuredContent":{"isError":true}}"#));
        assert!(!is_tool_error(br#"{"content":[{"text":"\"isError\":true"}]}"#));
        assert!(!is_tool_error(br#"{"isError":"yes"}"#));
    }
}
