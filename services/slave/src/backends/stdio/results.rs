//! A child's answer as the client's era wants it. Must not know who waits for it.

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::result::{is_tool_error, with_result_type};

use crate::backends::Answer;

/// A `result` value for the client; `backend` is the era of who wrote it.
pub(super) fn adapt(result: Bytes, client: Era, backend: Era) -> Answer {
    let tool_error = is_tool_error(&result);
    let needs_type = client == Era::Modern && backend == Era::Legacy;
    let payload = if needs_type { with_result_type(result) } else { result };
    Answer { payload, error: false, tool_error }
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
