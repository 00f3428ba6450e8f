//! A tool call as backends see it: the client's message with the places in it that matter. Must not know backends.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::envelope::Text;
use protocol::mcp::failure::Failure;
use runtime::traces::Parent;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::adapt::range_in;

/// One `tools/call` with its message untouched. Places are byte ranges of `message`.
#[derive(Debug)]
pub(crate) struct ToolCall {
    /// What the proxy says about it.
    pub(crate) header: CallHeader,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// The tool as this slave's catalog names it.
    pub(crate) name: String,
    /// The request's id.
    pub(crate) id: Range<usize>,
    /// `params.name`.
    pub(crate) name_place: Range<usize>,
    /// `params.arguments`.
    pub(crate) arguments: Option<Range<usize>>,
    /// `params._meta`.
    pub(crate) meta: Option<Range<usize>>,
    /// `params._meta.progressToken`: a string or number as it stands.
    pub(crate) progress_token: Option<Range<usize>>,
    /// The client asked for log messages on this request (modern).
    pub(crate) has_log_level: bool,
    /// `_meta` has the trace context that the header has.
    pub(crate) has_trace: bool,
    /// `_meta` has a baggage of its own.
    pub(crate) has_baggage: bool,
    /// The span that this slave made for the call, while traces are on.
    pub(crate) parent: Option<Parent>,
}

#[derive(Deserialize)]
struct Wire<'a> {
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
    /// Also when it is `null`: its place may have to be filled.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "even_null")]
    meta: Option<&'a RawValue>,
}

fn even_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(rename = "progressToken", borrow, default)]
    progress_token: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", default)]
    log_level: Option<IgnoredAny>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
    #[serde(default)]
    baggage: Option<IgnoredAny>,
}

/// Whether a string that needs no escapes stands here.
fn same_text(json: &RawValue, text: Option<&str>) -> bool {
    let inside = json.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some() && inside == text
}

impl ToolCall {
    /// Finds the places. Methods other than `tools/call` are none that a backend has yet.
    pub(crate) fn parse(header: CallHeader, message: Bytes) -> Result<Self, Failure> {
        if header.method != "tools/call" {
            return Err(Failure::MethodNotFound(header.method));
        }
        let invalid = |error: serde_json::Error| Failure::InvalidParams(error.to_string());
        let wire: Wire<'_> = serde_json::from_slice(&message).map_err(invalid)?;
        let params = wire.params;
        let meta = match params.meta {
            Some(raw) => {
                serde_json::from_str::<Option<Meta<'_>>>(raw.get()).map_err(invalid)?.unwrap_or_default()
            }
            None => Meta::default(),
        };
        let place = |raw: &RawValue| range_in(&message, raw);
        let name = match &header.name {
            Some(name) => name.clone(),
            None => serde_json::from_str::<Text<'_>>(params.name.get()).map_err(invalid)?.0.into_owned(),
        };
        Ok(Self {
            id: place(wire.id),
            name_place: place(params.name),
            arguments: params.arguments.map(place),
            meta: params.meta.map(place),
            progress_token: meta.progress_token.map(place),
            has_log_level: meta.log_level.is_some(),
            has_trace: meta.traceparent.is_some_and(|raw| same_text(raw, header.traceparent.as_deref())),
            has_baggage: meta.baggage.is_some(),
            parent: None,
            name,
            header,
            message,
        })
    }

    /// The JSON at a place of the message.
    pub(crate) fn at(&self, place: &Range<usize>) -> &[u8] {
        self.message.get(place.clone()).unwrap_or_default()
    }

    /// Reads the arguments into a type; absent ones as `{}`. The error's text is for the model that made the call.
    pub(crate) fn arguments<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.arguments.as_ref().map_or(b"{}", |place| self.at(place)))
    }

    /// The client's progress token as it stands in JSON, if it wants progress.
    pub(crate) fn token(&self) -> Option<Cow<'_, str>> {
        self.progress_token.as_ref().map(|place| String::from_utf8_lossy(self.at(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{call, header};
    use super::*;
    use protocol::mcp::era::Era;

    #[test]
    fn places_are_where_the_members_are() {
        let message = r#"{"id" : "x","params":{"_meta":{"a":1,"progressToken": "t\n"},"name":"e\u0063ho","arguments":{"b":[1e400]}}}"#;
        let call = call(Era::Legacy, message);
        assert_eq!(call.name, "echo");
        assert_eq!(call.at(&call.id), br#""x""#);
        assert_eq!(call.at(&call.name_place), br#""e\u0063ho""#);
        assert_eq!(call.at(call.arguments.as_ref().unwrap()), br#"{"b":[1e400]}"#);
        assert_eq!(call.token().unwrap(), r#""t\n""#);
        assert!(!call.has_log_level);
    }

    #[test]
    fn what_is_no_tool_call_is_refused() {
        let parse = |method: &str, message: &'static str| {
            ToolCall::parse(
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
            assert!(matches!(parse("tools/call", message), Err(Failure::InvalidParams(_))), "{message}");
        }
    }

    #[test]
    fn the_slave_s_own_name_wins_over_the_client_s() {
        let header = CallHeader { name: Some("echo".into()), ..header(Era::Legacy) };
        let call = ToolCall::parse(header, Bytes::from_static(br#"{"id":1,"params":{"name":"one__echo"}}"#))
            .unwrap();
        assert_eq!(call.name, "echo");
    }
}
