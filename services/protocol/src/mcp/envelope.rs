//! The outside of a JSON-RPC message, borrowed: method, id and the few parameters that routing needs.
//!
//! One pass over the bytes; arguments and results are skipped, never built. Knows nothing of eras' rules.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use crate::mcp::object::Object;

/// Text that borrows where the JSON has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrow)
    }
}

/// `_meta` of a request: what the relay reads of it.
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    /// Modern: the version of this request.
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow, default)]
    pub protocol_version: Option<Text<'a>>,
    /// Modern: what the client can do, as it stands.
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow, default)]
    pub client_capabilities: Option<&'a RawValue>,
    /// Opts in to progress: a string or an integer, as it stands.
    #[serde(rename = "progressToken", borrow, default)]
    pub progress_token: Option<&'a RawValue>,
    /// W3C trace context.
    #[serde(borrow, default)]
    pub traceparent: Option<Text<'a>>,
    /// W3C trace state.
    #[serde(borrow, default)]
    pub tracestate: Option<Text<'a>>,
    /// W3C baggage.
    #[serde(borrow, default)]
    pub baggage: Option<Text<'a>>,
}

/// `params`: what the relay reads of them. Everything else is skipped.
#[derive(Debug, Default, Deserialize)]
pub struct Params<'a> {
    /// Tool or prompt.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Resource.
    #[serde(borrow, default)]
    pub uri: Option<Text<'a>>,
    /// Where a list goes on.
    #[serde(borrow, default)]
    pub cursor: Option<Text<'a>>,
    /// `notifications/cancelled`: the request meant, as it stands.
    #[serde(rename = "requestId", borrow, default)]
    pub request_id: Option<&'a RawValue>,
    /// `initialize`: the version the client asks for.
    #[serde(rename = "protocolVersion", borrow, default)]
    pub protocol_version: Option<Text<'a>>,
    /// `initialize`: what the client can do, as it stands.
    #[serde(borrow, default)]
    pub capabilities: Option<&'a RawValue>,
    /// Metadata.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "object")]
    pub meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<Object<Params<'a>>>,
    #[serde(default, deserialize_with = "present")]
    result: bool,
    #[serde(default, deserialize_with = "present")]
    error: bool,
}

fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

fn object<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Meta<'a>>, D::Error> {
    Ok(Option::<Object<Meta<'a>>>::deserialize(from)?.map(|meta| meta.0))
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from).map(|_| true)
}

/// What kind of message it is.
#[derive(Debug)]
pub enum Message<'a> {
    /// Wants an answer.
    Request {
        /// String or number, exactly as the client wrote it.
        id: &'a RawValue,
        /// Method name.
        method: Text<'a>,
        /// What the relay reads of the parameters.
        params: Params<'a>,
    },
    /// Wants none.
    Notification {
        /// Method name.
        method: Text<'a>,
        /// What the relay reads of the parameters.
        params: Params<'a>,
    },
    /// Answers a request of ours or of a backend.
    Response {
        /// String or number, as it stands.
        id: &'a RawValue,
    },
}

/// Why a body is not one JSON-RPC message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// -32700.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// -32600.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    NotJsonRpc(&'static str),
    /// -32602. The id, where it could be read.
    #[error("parameters of the wrong form: {reason}")]
    BadParams {
        /// The request's id as it stands, if it has a usable one.
        id: Option<String>,
        /// What the parser says.
        reason: String,
    },
}

/// Reads the outside of one message (JSON-RPC 2.0; MCP 2026-07-28, Overview, "Messages").
pub fn parse(body: &[u8]) -> Result<Message<'_>, EnvelopeError> {
    // What is skipped is not looked at by the parser, but it is carried on: it must be UTF-8 as well.
    let text = std::str::from_utf8(body).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
    match serde_json::from_str::<Object<Wire<'_>>>(text) {
        Ok(wire) => classify(wire.0),
        Err(error) => Err(explain(body, &error)),
    }
}

fn classify(wire: Wire<'_>) -> Result<Message<'_>, EnvelopeError> {
    if wire.jsonrpc.as_ref().map(Text::as_str) != Some("2.0") {
        return Err(EnvelopeError::NotJsonRpc("\"jsonrpc\" must be \"2.0\""));
    }
    if wire.id.is_some_and(|id| !is_valid_id(id)) {
        return Err(EnvelopeError::NotJsonRpc("\"id\" must be a string or an integer"));
    }
    let params = wire.params.map(|params| params.0).unwrap_or_default();
    match (wire.method, wire.id) {
        (Some(_), _) if wire.result || wire.error => {
            Err(EnvelopeError::NotJsonRpc("a message has either a \"method\" or a \"result\" or \"error\""))
        }
        (Some(method), Some(id)) => Ok(Message::Request { id, method, params }),
        (Some(method), None) => Ok(Message::Notification { method, params }),
        (None, Some(id)) if wire.result != wire.error => Ok(Message::Response { id }),
        (None, _) => Err(EnvelopeError::NotJsonRpc("no \"method\"")),
    }
}

/// A request id is a string or an integer; -0 and exponents are numbers that JSON-RPC peers do not agree on.
pub fn is_valid_id(id: &RawValue) -> bool {
    let text = id.get();
    text.starts_with('"')
        || (!text.is_empty() && text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit()))
}

/// The slow path: which of the three errors it is. Runs only for a message that is refused anyway.
fn explain(body: &[u8], error: &serde_json::Error) -> EnvelopeError {
    #[derive(Deserialize)]
    struct Outside<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
        #[serde(default)]
        jsonrpc: Option<IgnoredAny>,
        #[serde(default)]
        method: Option<IgnoredAny>,
    }
    if let Err(not_json) = serde_json::from_slice::<IgnoredAny>(body) {
        return EnvelopeError::NotJson(not_json.to_string());
    }
    match serde_json::from_slice::<Object<Outside<'_>>>(body).map(|outside| outside.0) {
        Ok(outside) if outside.jsonrpc.is_some() && outside.method.is_some() => EnvelopeError::BadParams {
            id: outside.id.filter(|id| is_valid_id(id)).map(|id| id.get().to_owned()),
            reason: error.to_string(),
        },
        Ok(_) => EnvelopeError::NotJsonRpc("\"jsonrpc\" and \"method\" must be strings"),
        Err(_) => EnvelopeError::NotJsonRpc("a message is one JSON object without repeated members"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_call_without_its_arguments() {
        let body = br#"{"jsonrpc":"2.0","id":"a\u0001","method":"tools/call","params":{"name":"echo","arguments":{"x":[1e400]},
            "_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let Ok(Message::Request { id, method, params }) = parse(body) else { panic!("a request") };
        assert_eq!(id.get(), r#""a\u0001""#);
        assert!(matches!(method.0, Cow::Borrowed("tools/call")));
        assert!(matches!(params.name, Some(Text(Cow::Borrowed("echo")))));
        let meta = params.meta.unwrap();
        assert_eq!(meta.progress_token.unwrap().get(), "7");
        assert_eq!(meta.protocol_version.unwrap().as_str(), "2026-07-28");
    }

    #[test]
    fn tells_the_kinds_apart() {
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","method":"x"}"#), Ok(Message::Notification { .. })));
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok(Message::Response { .. })));
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Ok(Message::Response { .. })));
    }

    #[test]
    fn refusals_name_the_layer_that_is_wrong() {
        use EnvelopeError::{BadParams, NotJson, NotJsonRpc};
        let refused = |body: &str| parse(body.as_bytes()).expect_err(body);
        assert!(matches!(refused("{"), NotJson(_)));
        assert!(matches!(refused("\u{0}"), NotJson(_)));
        let spoiled = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"a\":\"\xff\"}}";
        assert!(matches!(parse(spoiled), Err(NotJson(_))));
        for body in [
            "[]",
            r#"["2.0",1,"tools/call",{"name":"echo"}]"#,
            "3",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
        ] {
            assert!(matches!(refused(body), NotJsonRpc(_)), "{body}");
        }
        for params in [r#"["echo"]"#, r#"{"_meta":[]}"#] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"x","params":{params}}}"#);
            assert!(matches!(refused(&body), BadParams { .. }), "{body}");
        }
        let BadParams { id, .. } = refused(r#"{"jsonrpc":"2.0","id":5,"method":"x","params":{"name":3}}"#)
        else {
            panic!("bad params")
        };
        assert_eq!(id.as_deref(), Some("5"));
    }
}
