//! The adaptation of a child's result to the client's era. Must not know the reader of the answer.

use bytes::Bytes;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::result::{ResultType, is_legacy_task, is_tool_error, with_cache_hints, with_result_type};
use protocol::mcp::result_marks::{ResultMark, ResultMarks};

use super::forward::Tasks;
use crate::call::Answer;

/// What is said of a task.
const TASK: &str = "a task in place of its result";

/// The `result` value of a child.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) json: Bytes,
    /// What it may have.
    pub(super) marks: ResultMarks,
}

impl Found {
    /// Returns a result, which has to pass the check unless its message was read through.
    pub(super) fn read(
        json: Bytes,
        marks: Option<ResultMarks>,
        check: impl FnOnce(&[u8]) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        if marks.is_none() {
            check(&json)?;
        }
        Ok(Self { json, marks: marks.unwrap_or(ResultMarks::ANY) })
    }
}

/// Returns the answer with a `result` value adapted to the era of the client; `backend` is the era of the child.
///
/// # Errors
/// The result is of a type that the client cannot go on with.
pub(super) fn adapt(
    result: Found,
    client: Era,
    backend: Era,
    method: &str,
    tasks: Tasks,
) -> Result<Answer, Failure> {
    check(&result, client, backend, tasks)?;
    let Found { json: result, marks } = result;
    let tool_error = marks.may_have(ResultMark::ToolError) && is_tool_error(&result);
    let needs_type = client == Era::Modern && backend == Era::Legacy;
    let payload = match (needs_type, method) {
        (false, _) => result,
        // 2026-07-28, "Caching": results of these methods say how long they hold. A legacy server does not tell.
        (true, "resources/read") => with_result_type(with_cache_hints(result), marks),
        (true, _) => with_result_type(result, marks),
    };
    Ok(Answer { tool_error, marks, ..Answer::result(payload) })
}

fn check(result: &Found, client: Era, backend: Era, tasks: Tasks) -> Result<(), Failure> {
    let Found { json, marks } = result;
    if backend == Era::Legacy {
        return if tasks == Tasks::Absent && marks.may_have(ResultMark::Task) && is_legacy_task(json) {
            Err(Failure::ResultUnsupported { what: TASK })
        } else {
            Ok(())
        };
    }
    if !marks.may_have(ResultMark::OtherType) {
        return Ok(());
    }
    match (ResultType::of(json), client) {
        (ResultType::Task, _) if tasks == Tasks::Absent => Err(Failure::ResultUnsupported { what: TASK }),
        // A modern client knows the types that it asked for, and refuses others.
        // What asks for input is the bridge's.
        (ResultType::Complete | ResultType::InputRequired | ResultType::Task, _)
        | (ResultType::Other, Era::Modern) => Ok(()),
        (ResultType::Other, Era::Legacy) => {
            Err(Failure::ResultUnsupported { what: "a result of a type that only newer clients know" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(result: &'static str) -> Found {
        Found { json: Bytes::from_static(result.as_bytes()), marks: ResultMarks::ANY }
    }

    fn adapted(result: &'static str, client: Era, backend: Era) -> (String, bool) {
        let answer = adapt(found(result), client, backend, "tools/call", Tasks::Absent).unwrap();
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
    fn what_a_legacy_server_reads_may_not_be_kept_by_a_modern_client() {
        let read = |result: &'static str| {
            let answer = adapt(found(result), Era::Modern, Era::Legacy, "resources/read", Tasks::Absent);
            String::from_utf8(answer.unwrap().payload.to_vec()).unwrap()
        };
        assert_eq!(
            read(r#"{"contents":[]}"#),
            r#"{"resultType":"complete","contents":[],"ttlMs":0,"cacheScope":"private"}"#
        );
        assert_eq!(read(r#"{"ttlMs":5}"#), r#"{"resultType":"complete","ttlMs":5,"cacheScope":"private"}"#);
    }

    #[test]
    fn results_of_other_pairs_of_eras_pass_unchanged() {
        for (client, backend) in
            [(Era::Legacy, Era::Legacy), (Era::Legacy, Era::Modern), (Era::Modern, Era::Modern)]
        {
            for result in [r#"{"z" : 1.0,"resultType":"complete"}"#, r#"{"z" : 1e400}"#] {
                assert_eq!(adapted(result, client, backend).0, result);
            }
        }
        // To a legacy server `resultType` is any other member.
        let other = r#"{"resultType":"input_required"}"#;
        assert_eq!(adapted(other, Era::Legacy, Era::Legacy).0, other);
    }

    #[test]
    fn a_result_that_the_client_cannot_go_on_with_is_refused() {
        const ASKS: &str = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}"#;
        const TASK: &str = r#"{"resultType":"task","taskId":"1"}"#;
        const LEGACY_TASK: &str = r#"{"task":{"taskId":"1"}}"#;
        const OTHER: &str = r#"{"resultType":"pages"}"#;
        let kind = |result: &'static str, client, backend| {
            let failure = adapt(found(result), client, backend, "tools/call", Tasks::Absent).err();
            failure.map(|failure| (failure.spec().kind, failure.to_string().contains("roots/list")))
        };
        for (result, client, backend, expected) in [
            (ASKS, Era::Legacy, Era::Modern, None),
            (ASKS, Era::Modern, Era::Modern, None),
            (TASK, Era::Legacy, Era::Modern, Some(("result_unsupported", false))),
            (TASK, Era::Modern, Era::Modern, Some(("result_unsupported", false))),
            (LEGACY_TASK, Era::Legacy, Era::Legacy, Some(("result_unsupported", false))),
            (LEGACY_TASK, Era::Modern, Era::Legacy, Some(("result_unsupported", false))),
            (OTHER, Era::Legacy, Era::Modern, Some(("result_unsupported", false))),
            (OTHER, Era::Modern, Era::Modern, None),
        ] {
            assert_eq!(kind(result, client, backend), expected, "{result} {client:?} {backend:?}");
        }
    }
}
