//! The adaptation of a child's result to the client's era. Must not know the reader of the answer.

use bytes::Bytes;
use memchr::memmem;
use protocol::mcp::era::Era;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::call::Answer;

/// The member that a modern client requires and a legacy backend's result lacks.
const RESULT_TYPE: &[u8] = br#""resultType":"complete""#;

/// The members of a result that matter here. All others are skipped.
#[derive(Default, Deserialize)]
struct ResultHead {
    #[serde(rename = "isError", default)]
    is_error: Option<serde_json::Value>,
    #[serde(rename = "resultType", default)]
    result_type: Option<IgnoredAny>,
}

/// Returns the answer with a `result` value adapted to the era of the client; `backend` is the era of the child.
pub(super) fn adapt(result: Bytes, client: Era, backend: Era) -> Answer {
    // Both words are rare in large results, and searching is ten times faster than parsing.
    let needs_type = client == Era::Modern && backend == Era::Legacy;
    let has_word = |word: &[u8]| memmem::find(&result, word).is_some();
    let head = if has_word(b"\"isError\"") || needs_type && has_word(b"\"resultType\"") {
        serde_json::from_slice::<ResultHead>(&result).unwrap_or_default()
    } else {
        ResultHead::default()
    };
    let tool_error = head.is_error == Some(serde_json::Value::Bool(true));
    let payload = if needs_type && head.result_type.is_none() { with_result_type(&result) } else { result };
    Answer { payload, error: false, tool_error }
}

/// Returns the result object with [`RESULT_TYPE`] in front; any other value unchanged.
fn with_result_type(result: &Bytes) -> Bytes {
    let Some(inside) = result.strip_prefix(b"{") else { return result.clone() };
    let mut out = Vec::with_capacity(result.len() + RESULT_TYPE.len() + 1);
    out.push(b'{');
    out.extend_from_slice(RESULT_TYPE);
    if inside.trim_ascii_start().first() != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(inside);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(result: &'static str, client: Era, backend: Era) -> (String, bool) {
        let answer = adapt(Bytes::from_static(result.as_bytes()), client, backend);
        (String::from_utf8(answer.payload.to_vec()).unwrap(), answer.tool_error)
    }

    #[test]
    fn only_the_outermost_is_error_counts() {
        let legacy = |result| adapted(result, Era::Legacy, Era::Legacy).1;
        assert!(legacy(r#"{"content":[],"isError": true}"#));
        assert!(!legacy(r#"{"content":[],"isError":false}"#));
        assert!(!legacy(r#"{"structuredContent":{"isError":true}}"#));
        assert!(!legacy(r#"{"content":[{"text":"\"isError\":true"}]}"#));
        assert!(!legacy(r#"{"isError":"yes"}"#));
    }

    #[test]
    fn a_legacy_result_gets_a_result_type_for_a_modern_client_exactly_once() {
        let modern = |result| adapted(result, Era::Modern, Era::Legacy).0;
        assert_eq!(modern(r#"{"content":[1e2]}"#), r#"{"resultType":"complete","content":[1e2]}"#);
        assert_eq!(modern("{ }"), r#"{"resultType":"complete" }"#);
        assert_eq!(modern(r#"{"a":1,"resultType":"other"}"#), r#"{"a":1,"resultType":"other"}"#);
        assert_eq!(
            modern(r#"{"a":{"resultType":"x"}}"#),
            r#"{"resultType":"complete","a":{"resultType":"x"}}"#
        );
        assert_eq!(modern("[]"), "[]");
    }

    #[test]
    fn results_of_other_pairs_of_eras_pass_unchanged() {
        for (client, backend) in
            [(Era::Legacy, Era::Legacy), (Era::Legacy, Era::Modern), (Era::Modern, Era::Modern)]
        {
            let result = r#"{"z" : 1.0,"resultType":"input_required"}"#;
            assert_eq!(adapted(result, client, backend).0, result);
        }
    }
}
