//! A tool call's request: the client's message and the byte ranges of its members. Must not know backends.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::envelope::Text;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use runtime::traces::Parent;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::splice::range_in;

/// A `tools/call` request with its message untouched. Ranges are byte ranges of `message`.
#[derive(Debug)]
pub(crate) struct Request {
    /// The header that came with the request.
    pub(crate) header: CallHeader,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// The tool's name in this slave's catalog.
    pub(crate) name: String,
    /// The range of the request's id.
    pub(crate) id: Range<usize>,
    /// The range of `params.name`.
    pub(crate) name_range: Range<usize>,
    /// The range of `params.arguments`.
    pub(crate) arguments: Option<Range<usize>>,
    /// The range of `params._meta`.
    pub(crate) meta: Option<Range<usize>>,
    /// The range of `params.task`, by which a client of 2025-11-25 asks for a task.
    pub(crate) task: Option<Range<usize>>,
    /// The range of `params._meta.progressToken`, a string or a number.
    pub(crate) progress_token: Option<Range<usize>>,
    /// Least severe level of log messages that a modern client asked for on this request (2026-07-28, Logging); one that is not known
    /// counts as the least severe.
    pub(crate) log_level: Option<LogLevel>,
    /// Whether `_meta` has the same trace context as the header.
    pub(crate) has_trace: bool,
    /// Whether `_meta` has a baggage of its own.
    pub(crate) has_baggage: bool,
    /// The span that this slave made for the call; `None` while traces are off.
    pub(crate) parent: Option<Parent>,
}

/// What a request must be, for the one who wrote it.
const EXPECTED: &str = "a call must have an \"id\" and \"params\" with the \"name\" of a tool and its \"arguments\", for example {\"name\": \"echo\", \"arguments\": {\"text\": \"hello\"}}";

#[derive(Deserialize)]
struct RawRequest<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present_or_null")]
    task: Option<&'a RawValue>,
    /// `Some` also for `null`, whose range may have to be replaced.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "present_or_null")]
    meta: Option<&'a RawValue>,
}

fn present_or_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(rename = "progressToken", borrow, default)]
    progress_token: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", borrow, default)]
    log_level: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
    #[serde(default)]
    baggage: Option<IgnoredAny>,
}

/// Returns whether the JSON value is this string, written without escapes.
fn is_plain_string(json: &RawValue, text: Option<&str>) -> bool {
    let inside = json.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some() && inside == text
}

fn read_level(json: &RawValue) -> LogLevel {
    serde_json::from_str(json.get()).unwrap_or(LogLevel::Debug)
}

impl Request {
    /// Finds the ranges. Fails with [`Failure::MethodNotFound`] for methods other than `tools/call`, and with
    /// [`Failure::InvalidParams`] for a message that is no valid request.
    pub(crate) fn parse(header: CallHeader, message: Bytes) -> Result<Self, Failure> {
        if header.method != "tools/call" {
            return Err(Failure::MethodNotFound(header.method));
        }
        let invalid = |text: &str| Failure::InvalidParams(text.to_owned());
        let raw: RawRequest<'_> = serde_json::from_slice(&message).map_err(|_| invalid(EXPECTED))?;
        let params = raw.params;
        let meta = match params.meta {
            Some(raw) => serde_json::from_str::<Option<Meta<'_>>>(raw.get())
                .map_err(|_| invalid("\"_meta\" must be an object, for example {\"progressToken\": 1}"))?
                .unwrap_or_default(),
            None => Meta::default(),
        };
        let range = |json: &RawValue| range_in(&message, json);
        let name = match &header.name {
            Some(name) => name.clone(),
            None => serde_json::from_str::<Text<'_>>(params.name.get())
                .map_err(|_| invalid("\"name\" must be the name of a tool, for example \"echo\""))?
                .0
                .into_owned(),
        };
        Ok(Self {
            id: range(raw.id),
            name_range: range(params.name),
            arguments: params.arguments.map(range),
            meta: params.meta.map(range),
            task: params.task.map(range),
            progress_token: meta.progress_token.map(range),
            log_level: meta.log_level.map(read_level),
            has_trace: meta
                .traceparent
                .is_some_and(|raw| is_plain_string(raw, header.traceparent.as_deref())),
            has_baggage: meta.baggage.is_some(),
            parent: None,
            name,
            header,
            message,
        })
    }

    /// Returns the JSON in a range of the message.
    pub(crate) fn json(&self, range: &Range<usize>) -> &[u8] {
        self.message.get(range.clone()).unwrap_or_default()
    }

    /// Returns the arguments as JSON; absent ones as `{}`.
    pub(crate) fn arguments_json(&self) -> &[u8] {
        self.arguments.as_ref().map_or(b"{}", |range| self.json(range))
    }

    /// Returns the client's progress token as JSON; `None` if the client wants no progress.
    pub(crate) fn token(&self) -> Option<Cow<'_, str>> {
        self.progress_token.as_ref().map(|range| String::from_utf8_lossy(self.json(range)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header, request};
    use super::*;
    use protocol::mcp::era::Era;

    #[test]
    fn ranges_point_at_the_members() {
        let message = r#"{"id" : "x","params":{"_meta":{"a":1,"progressToken": "t\n"},"name":"e\u0063ho","arguments":{"b":[1e400]}}}"#;
        let request = request(Era::Legacy, message);
        assert_eq!(request.name, "echo");
        assert_eq!(request.json(&request.id), br#""x""#);
        assert_eq!(request.json(&request.name_range), br#""e\u0063ho""#);
        assert_eq!(request.json(request.arguments.as_ref().unwrap()), br#"{"b":[1e400]}"#);
        assert_eq!(request.token().unwrap(), r#""t\n""#);
        assert_eq!(request.log_level, None);
    }

    #[test]
    fn a_message_that_is_no_tool_call_is_refused() {
        let parse = |method: &str, message: &'static str| {
            Request::parse(
                CallHeader { method: method.into(), ..header(Era::Modern) },
                Bytes::from_static(message.as_bytes()),
            )
        };
        assert!(
            matches!(parse("prompts/get", "{}"), Err(Failure::MethodNotFound(method)) if method == "prompts/get")
        );
        for message in
            [r#"{"id":1}"#, r#"{"id":1,"params":{}}"#, r#"{"id":1,"params":{"name":3}}"#, "[", "\u{ff}"]
        {
            let Err(Failure::InvalidParams(text)) = parse("tools/call", message) else { panic!("{message}") };
            assert!(text.contains("\"name\"") && !text.contains("line 1"), "{text}");
        }
    }

    #[test]
    fn the_name_in_the_header_wins_over_the_one_in_the_message() {
        let header = CallHeader { name: Some("echo".into()), ..header(Era::Legacy) };
        let request =
            Request::parse(header, Bytes::from_static(br#"{"id":1,"params":{"name":"one__echo"}}"#)).unwrap();
        assert_eq!(request.name, "echo");
    }
}
