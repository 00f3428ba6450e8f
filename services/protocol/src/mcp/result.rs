//! Results of `tools/call`: their type, and whether they report an error of the tool.
//!
//! Results are searched for a member's name before they are parsed: the names are rare, and searching is ten times faster.
//! Must not know who wrote a result or who gets it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use crate::mcp::members::Members;
use crate::mcp::object::Object;
use crate::mcp::outline::Outline;
use crate::mcp::result_marks::{ResultMark, ResultMarks};

/// Member that a modern result has and a legacy one lacks (2026-07-28, Overview, "`ResultType`").
const RESULT_TYPE: &[u8] = br#""resultType":"complete""#;

/// Key of no member: an outline looks into none.
const NOTHING: &str = "";

/// Requests that a result may ask the client to answer (2026-07-28, "Multi Round-Trip Requests").
const INPUT_REQUESTS: [&str; 3] = ["elicitation/create", "roots/list", "sampling/createMessage"];

/// Type of a result, by its outermost `resultType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// The result is there, also where it has no `resultType`.
    Complete,
    /// The client is asked for input.
    InputRequired,
    /// A task was made in place of the result.
    Task,
    /// Any other type.
    Other,
}

impl ResultType {
    /// Reads the type of a modern server's result.
    pub fn of(result: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outside<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            result_type: Option<&'a RawValue>,
        }
        // A key may be written with escapes, as nobody does: `\u` is looked for as well.
        if memmem::find(result, b"resultType").is_none() && memmem::find(result, b"\\u").is_none() {
            return Self::Complete;
        }
        if let Some(outline) = Outline::of(result, NOTHING) {
            return outline
                .find(b"resultType")
                .map_or(Self::Complete, |value| Self::named(outline.json(value)));
        }
        let Ok(Object(Outside { result_type })) = serde_json::from_slice::<Object<Outside<'_>>>(result)
        else {
            // Two of them, of which a client may read either.
            return Self::Other;
        };
        result_type.map_or(Self::Complete, |value| Self::named(value.get().as_bytes()))
    }

    fn named(json: &[u8]) -> Self {
        match serde_json::from_slice::<String>(json).as_deref() {
            Ok("complete") => Self::Complete,
            Ok("input_required") => Self::InputRequired,
            Ok("task") => Self::Task,
            _ => Self::Other,
        }
    }
}

/// Reads a member that is there, also `null`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Returns the methods of the requests that a result asks the client to answer, in the order of their names; of methods that the
/// specification does not have, `input`.
pub fn wanted_input(result: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outside<'a> {
        #[serde(borrow, default)]
        input_requests: Members<'a>,
    }
    #[derive(Deserialize)]
    struct Request {
        method: String,
    }
    let outside: Outside<'_> = serde_json::from_slice(result).unwrap_or_default();
    let methods = outside.input_requests.0.iter().map(|(_, request)| {
        let method = serde_json::from_str(request.get()).map(|Request { method }| method).unwrap_or_default();
        INPUT_REQUESTS.into_iter().find(|known| *known == method).unwrap_or("input")
    });
    let methods: BTreeSet<&str> = methods.collect();
    if methods.is_empty() { "another round".into() } else { Vec::from_iter(methods).join(", ") }
}

/// Returns whether a result may have the id of a task.
pub fn may_have_task_id(result: &[u8]) -> bool {
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"taskId\""));
    FINDER.find(result).is_some()
}

/// Returns whether a legacy server's result is a task in place of a result (2025-11-25, Tasks): it has a `task` and no `content`.
pub fn is_legacy_task(result: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Task {
        #[serde(rename = "taskId")]
        _id: IgnoredAny,
    }
    #[derive(Deserialize)]
    struct Outside {
        #[serde(rename = "task")]
        _task: Task,
        #[serde(default)]
        content: Option<IgnoredAny>,
    }
    may_have_task_id(result)
        && serde_json::from_slice::<Outside>(result).is_ok_and(|outside| outside.content.is_none())
}

/// Returns a legacy server's result for a modern client: with `resultType` in front where the result has none. Anything else
/// than an object stays as it is.
pub fn with_result_type(result: Bytes, marks: ResultMarks) -> Bytes {
    #[derive(Deserialize)]
    struct Outside {
        #[serde(rename = "resultType", default)]
        result_type: Option<IgnoredAny>,
    }
    let has_type = marks.may_have(ResultMark::Type)
        && memmem::find(&result, b"\"resultType\"").is_some()
        && serde_json::from_slice::<Outside>(&result).is_ok_and(|outside| outside.result_type.is_some());
    let Some(inside) = result.strip_prefix(b"{").filter(|_| !has_type) else { return result };
    let comma: &[u8] = if inside.trim_ascii_start().starts_with(b"}") { b"" } else { b"," };
    [b"{", RESULT_TYPE, comma, inside].concat().into()
}

/// Returns a legacy server's result for a modern client, which needs to know how long it may be kept: not at all, and by nobody else, unless
/// the result says otherwise. Anything else than an object stays as it is.
pub fn with_cache_hints(result: Bytes) -> Bytes {
    let Ok(Members(members)) = serde_json::from_slice(&result) else { return result };
    let Some(end) = result.iter().rposition(|byte| *byte == b'}') else { return result };
    let has = |name: &str| members.iter().any(|(key, _)| key == name);
    let mut comma = if members.is_empty() { "" } else { "," };
    let mut hints = String::new();
    for (name, value) in [("ttlMs", "0"), ("cacheScope", r#""private""#)] {
        if !has(name) {
            hints += &[comma, "\"", name, "\":", value].concat();
            comma = ",";
        }
    }
    drop(members);
    [&result[..end], hints.as_bytes(), &result[end..]].concat().into()
}

/// Returns whether a result says `isError: true`.
pub fn is_tool_error(result: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Outside {
        #[serde(rename = "isError", default)]
        is_error: bool,
    }
    if memmem::find(result, b"\"isError\"").is_none() {
        return false;
    }
    if let Some(outline) = Outline::of(result, NOTHING) {
        return outline.find(b"isError").and_then(|value| outline.read(value)).unwrap_or(false);
    }
    serde_json::from_slice::<Outside>(result).is_ok_and(|outside| outside.is_error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mcp::request_state::with_label;

    #[test]
    fn a_result_gets_its_type_once() {
        let typed = |text: &'static str| {
            let result = Bytes::from_static(text.as_bytes());
            String::from_utf8(with_result_type(result, ResultMarks::ANY).into()).unwrap()
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

    #[test]
    fn the_type_is_the_outermost_one_however_it_is_written() {
        for (result, expected) in [
            (r#"{"content":[1e400,"\ud83d"]}"#, ResultType::Complete),
            (r#"{"content":[],"resultType":"complete"}"#, ResultType::Complete),
            (r#"{"structuredContent":{"resultType":"task"}}"#, ResultType::Complete),
            (r#"{"content":[{"text":"\"resultType\":\"task\""}]}"#, ResultType::Complete),
            (r#"{"resultType" : "input_required"}"#, ResultType::InputRequired),
            (r#"{"result\u0054ype":"input\u005frequired"}"#, ResultType::InputRequired),
            (r#"{"resultType":"task","taskId":"1"}"#, ResultType::Task),
            (r#"{"resultType":"Complete"}"#, ResultType::Other),
            (r#"{"resultType":""}"#, ResultType::Other),
            (r#"{"resultType":null}"#, ResultType::Other),
            (r#"{"resultType":1}"#, ResultType::Other),
            (r#"{"resultType":"complete","resultType":"task"}"#, ResultType::Other),
        ] {
            assert_eq!(ResultType::of(result.as_bytes()), expected, "{result}");
        }
    }

    #[test]
    fn the_wanted_input_is_named_by_the_specification_s_methods_only() {
        for (result, wanted) in [
            (
                r#"{"inputRequests":{"b":{"method":"sampling/createMessage"},"a":{"method":"elicitation/create"},"c":{"method":"elicitation/create"}}}"#,
                "elicitation/create, sampling/createMessage",
            ),
            (r#"{"inputRequests":{"b":{"method":"say: hi"}}}"#, "input"),
            (r#"{"inputRequests":{"b":3}}"#, "input"),
            (r#"{"inputRequests":3}"#, "another round"),
            (r#"{"requestState":"x"}"#, "another round"),
        ] {
            assert_eq!(wanted_input(result.as_bytes()), wanted, "{result}");
        }
    }

    #[test]
    fn a_legacy_task_is_no_result() {
        assert!(is_legacy_task(br#"{"task":{"taskId":"1","status":"working"}}"#));
        assert!(!is_legacy_task(br#"{"task":{"taskId":"1"},"content":[]}"#));
        assert!(!is_legacy_task(br#"{"content":[{"text":"\"taskId\""}]}"#));
        assert!(!is_legacy_task(br#"{"structuredContent":{"task":{"taskId":"1"}},"content":[]}"#));
    }

    proptest! {
        #[test]
        fn whatever_a_search_finds_is_marked(
            result in "(\\{|\\{\"a\":\\{|\\{\"a\":1,)\"(isError|resultType|requestState|task|taskId|_meta)\":(true|false|\"complete\"|\"task\"|\\{\"taskId\":\"1\"\\}|null)\\}{1,2}"
        ) {
            // The message is large enough for an outline; a result that is no JSON has none.
            let message = format!(r#"{{"id":1,"result":{result},"x":"{}"}}"#, "x".repeat(5000));
            let Some(outline) = Outline::of(message.as_bytes(), "result") else { return Ok(()) };
            let (marks, bytes) = (ResultMarks::of_inner(&outline), Bytes::from(result));
            prop_assert!(marks.may_have(ResultMark::ToolError) || !is_tool_error(&bytes));
            prop_assert!(marks.may_have(ResultMark::Task) || !is_legacy_task(&bytes));
            prop_assert!(marks.may_have(ResultMark::OtherType) || ResultType::of(&bytes) == ResultType::Complete);
            let labelled = with_label(bytes.clone(), "L");
            prop_assert!(marks.may_have(ResultMark::State) || labelled == bytes);
            prop_assert_eq!(with_result_type(bytes.clone(), marks), with_result_type(bytes, ResultMarks::ANY));
        }
    }
}
