//! A child's answer as the client's era wants it. Must not know who waits for it.

use bytes::Bytes;
use memchr::memmem;
use protocol::mcp::era::Era;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::backends::Answer;

/// First member that a modern client needs and a legacy backend's result lacks.
const COMPLETE: &[u8] = br#""resultType":"complete""#;

/// The parts of a result that decide something. Everything else is skipped.
#[derive(Default, Deserialize)]
struct Shallow {
    #[serde(rename = "isError", default)]
    is_error: Option<serde_json::Value>,
    #[serde(rename = "resultType", default)]
    result_type: Option<IgnoredAny>,
}

/// A `result` value for the client; `backend` is the era of who wrote it.
pub(super) fn adapt(result: Bytes, client: Era, backend: Era) -> Answer {
    // Both words are rare in large results, and searching is ten times faster than parsing.
    let needs_type = client == Era::Modern && backend == Era::Legacy;
    let has_word = |word: &[u8]| memmem::find(&result, word).is_some();
    let shallow = if has_word(b"\"isError\"") || needs_type && has_word(b"\"resultType\"") {
        serde_json::from_slice::<Shallow>(&result).unwrap_or_default()
    } else {
        Shallow::default()
    };
    let tool_error = shallow.is_error == Some(serde_json::Value::Bool(true));
    let payload = if needs_type && shallow.result_type.is_none() { completed(&result) } else { result };
    Answer { payload, error: false, tool_error }
}

/// The result object with [`COMPLETE`] in front; anything else than an object unchanged.
fn completed(result: &Bytes) -> Bytes {
    let Some(inside) = result.strip_prefix(b"{") else { return result.clone() };
    let mut out = Vec::with_capacity(result.len() + COMPLETE.len() + 1);
    out.push(b'{');
    out.extend_from_slice(COMPLETE);
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
    fn is_error_is_seen_on_the_outside_only() {
        let legacy = |result| adapted(result, Era::Legacy, Era::Legacy).1;
        assert!(legacy(r#"{"content":[],"isError": true}"#));
        assert!(!legacy(r#"{"content":[],"isError":false}"#));
        assert!(!legacy(r#"{"structuredContent":{"isError":true}}"#));
        assert!(!legacy(r#"{"content":[{"text":"\"isError\":true"}]}"#));
        assert!(!legacy(r#"{"isError":"yes"}"#));
    }

    #[test]
    fn a_modern_client_of_a_legacy_backend_gets_a_result_type_once() {
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
    fn other_pairs_pass_untouched() {
        for (client, backend) in
            [(Era::Legacy, Era::Legacy), (Era::Legacy, Era::Modern), (Era::Modern, Era::Modern)]
        {
            let result = r#"{"z" : 1.0,"resultType":"input_required"}"#;
            assert_eq!(adapted(result, client, backend).0, result);
        }
    }
}
