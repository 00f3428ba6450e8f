//! The adaptation of a child's result to the client's era. Must not know the reader of the answer.

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::result::{is_tool_error, with_result_type};

use crate::call::Answer;

/// Returns the answer with a `result` value adapted to the era of the client; `backend` is the era of the child.
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
