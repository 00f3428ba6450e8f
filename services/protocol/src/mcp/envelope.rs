//! Envelope of a JSON-RPC message, borrowed from its bytes: method, id and the few parameters that routing needs.
//!
//! Parsing is one pass over the bytes; arguments and results are skipped, never built. Must not know the rules of eras.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use crate::mcp::kind::Kind;
use crate::mcp::method::{Method, Subject};
use crate::mcp::object::Object;
use crate::mcp::outline::{Member, Outline};

/// JSON string, borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
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
        from.deserialize_str(TextVisitor)
    }
}

/// Members of a request's `_meta` that the relay reads.
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    /// Protocol version of a modern request.
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow, default)]
    pub protocol_version: Option<Text<'a>>,
    /// Client capabilities of a modern request, raw JSON.
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow, default)]
    pub client_capabilities: Option<&'a RawValue>,
    /// Progress token, raw JSON: a string or an integer.
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

/// What a completion is for (2025-11-25, Completion, "Reference Types").
#[derive(Debug, Default, Deserialize)]
pub struct Reference<'a> {
    /// Name of a prompt.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// URI or template of a resource.
    #[serde(borrow, default)]
    pub uri: Option<Text<'a>>,
}

impl<'a> Params<'a> {
    /// Returns the kind and the name of a request's subject; `None` where `params` do not name one. Of a subject that is
    /// [`Subject::Nothing`] nothing is looked for.
    pub fn subject(&self, subject: Subject) -> Option<(Kind, &Text<'a>)> {
        match subject {
            Subject::Nothing => None,
            Subject::Name(kind) => Some((kind, self.name.as_ref()?)),
            Subject::Uri => Some((Kind::Resource, self.uri.as_ref()?)),
            Subject::Task => Some((Kind::Task, self.task_id.as_ref()?)),
            Subject::Reference => {
                let reference = self.reference.as_ref()?;
                let prompt = reference.name.as_ref().map(|name| (Kind::Prompt, name));
                prompt.or_else(|| Some((Kind::Template, reference.uri.as_ref()?)))
            }
        }
    }
}

/// Members of `params` that the relay reads. All others are skipped.
#[derive(Debug, Default, Deserialize)]
pub struct Params<'a> {
    /// Name of a tool or prompt.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// URI of a resource.
    #[serde(borrow, default)]
    pub uri: Option<Text<'a>>,
    /// What a completion is for.
    #[serde(rename = "ref", borrow, default)]
    pub reference: Option<Reference<'a>>,
    /// Id of a task.
    #[serde(rename = "taskId", borrow, default)]
    pub task_id: Option<Text<'a>>,
    /// Cursor of a list.
    #[serde(borrow, default)]
    pub cursor: Option<Text<'a>>,
    /// Request that `notifications/cancelled` means, raw JSON.
    #[serde(rename = "requestId", borrow, default)]
    pub request_id: Option<&'a RawValue>,
    /// State of an exchange that the request goes on with (2026-07-28), raw JSON.
    #[serde(rename = "requestState", borrow, default, deserialize_with = "raw_or_null")]
    pub request_state: Option<&'a RawValue>,
    /// Protocol version that `initialize` asks for.
    #[serde(rename = "protocolVersion", borrow, default)]
    pub protocol_version: Option<Text<'a>>,
    /// Level that `logging/setLevel` asks for, raw JSON.
    #[serde(borrow, default)]
    pub level: Option<&'a RawValue>,
    /// Client capabilities of `initialize`, raw JSON.
    #[serde(borrow, default)]
    pub capabilities: Option<&'a RawValue>,
    /// Metadata.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "meta_object")]
    pub meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct EnvelopeJson<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "raw_or_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<Object<Params<'a>>>,
    #[serde(default, deserialize_with = "is_present")]
    result: bool,
    #[serde(default, deserialize_with = "is_present")]
    error: bool,
}

fn raw_or_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

fn meta_object<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Meta<'a>>, D::Error> {
    Ok(Option::<Object<Meta<'a>>>::deserialize(from)?.map(|meta| meta.0))
}

fn is_present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from).map(|_| true)
}

/// JSON-RPC message, by its kind.
#[derive(Debug)]
pub enum Message<'a> {
    /// Request.
    Request {
        /// Id, raw JSON: a string or an integer.
        id: &'a RawValue,
        /// Method.
        method: Text<'a>,
        /// Parameters.
        params: Params<'a>,
    },
    /// Notification.
    Notification {
        /// Method.
        method: Text<'a>,
        /// Parameters.
        params: Params<'a>,
    },
    /// Response.
    Response {
        /// Id, raw JSON: a string or an integer.
        id: &'a RawValue,
    },
}

/// Why a body is not one JSON-RPC message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON (-32700).
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not a JSON-RPC 2.0 message (-32600).
    #[error("not a JSON-RPC 2.0 message: {0}")]
    NotJsonRpc(&'static str),
    /// A JSON-RPC message with unusable parameters (-32602).
    #[error("parameters of the wrong form: {reason}")]
    BadParams {
        /// Id of the request, raw JSON, if it has a usable one.
        id: Option<String>,
        /// Message of the parser.
        reason: String,
    },
}

/// Reads the envelope of one message (JSON-RPC 2.0; MCP 2026-07-28, Overview, "Messages").
///
/// # Errors
/// The body is not JSON in UTF-8, not one JSON-RPC message, or has unusable parameters.
pub fn parse(body: &[u8]) -> Result<Message<'_>, EnvelopeError> {
    if let Some(envelope) = Outline::of(body, "params").and_then(|outline| of_outline(&outline)) {
        return classify(envelope);
    }
    parse_any(body)
}

fn parse_any(body: &[u8]) -> Result<Message<'_>, EnvelopeError> {
    // The parser does not check strings that it skips, and they are forwarded: they must be UTF-8 as well.
    let text = std::str::from_utf8(body).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
    match serde_json::from_str::<Object<EnvelopeJson<'_>>>(text) {
        Ok(envelope) => classify(envelope.0),
        Err(error) => match of_other_method(text) {
            Some(envelope) => classify(envelope),
            None => Err(diagnose(body, &error)),
        },
    }
}

/// Reads the envelope of a large message. `None` where anything is not as usual: the parser of all messages then says what.
fn of_outline<'a>(outline: &Outline<'a>) -> Option<EnvelopeJson<'a>> {
    let mut envelope =
        EnvelopeJson { jsonrpc: None, id: None, method: None, params: None, result: false, error: false };
    for Member { key, value } in &outline.outer {
        match *key {
            b"jsonrpc" => envelope.jsonrpc = outline.read(value)?,
            b"id" => envelope.id = Some(outline.read(value)?),
            b"method" => envelope.method = outline.read(value)?,
            b"params" if outline.json(value).starts_with(b"{") => {
                envelope.params = Some(Object(params_of_outline(outline)?));
            }
            b"params" => return None,
            b"result" => envelope.result = true,
            b"error" => envelope.error = true,
            _ => {}
        }
    }
    Some(envelope)
}

fn params_of_outline<'a>(outline: &Outline<'a>) -> Option<Params<'a>> {
    let mut params = Params::default();
    for Member { key, value } in &outline.inner {
        match *key {
            b"name" => params.name = outline.read(value)?,
            b"uri" => params.uri = outline.read(value)?,
            b"ref" => params.reference = outline.read(value)?,
            b"taskId" => params.task_id = outline.read(value)?,
            b"cursor" => params.cursor = outline.read(value)?,
            b"requestId" => params.request_id = outline.read(value)?,
            b"requestState" => params.request_state = Some(outline.read(value)?),
            b"protocolVersion" => params.protocol_version = outline.read(value)?,
            b"level" => params.level = outline.read(value)?,
            b"capabilities" => params.capabilities = outline.read(value)?,
            b"_meta" => {
                params.meta = outline.read::<Option<Object<Meta<'a>>>>(value)?.map(|Object(meta)| meta);
            }
            _ => {}
        }
    }
    Some(params)
}

/// Reads a request of a method that the specifications do not name: what members of its `params` are called means nothing, but for `_meta`.
/// Slow; runs only for messages that would be refused. `None`: it is none.
fn of_other_method(text: &str) -> Option<EnvelopeJson<'_>> {
    #[derive(Default, Deserialize)]
    struct OtherParams<'a> {
        #[serde(rename = "_meta", borrow, default, deserialize_with = "meta_object")]
        meta: Option<Meta<'a>>,
    }
    #[derive(Deserialize)]
    struct Other<'a> {
        #[serde(borrow, default)]
        jsonrpc: Option<Text<'a>>,
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow)]
        method: Text<'a>,
        #[serde(borrow, default)]
        params: Option<Object<OtherParams<'a>>>,
        #[serde(default, deserialize_with = "is_present")]
        result: bool,
        #[serde(default, deserialize_with = "is_present")]
        error: bool,
    }
    let Object(Other { jsonrpc, id, method, params, result, error }) = serde_json::from_str(text).ok()?;
    let params = params.map(|Object(OtherParams { meta })| Object(Params { meta, ..Params::default() }));
    let is_named = Method::find(method.as_str()).is_some();
    (!is_named).then_some(EnvelopeJson { jsonrpc, id: Some(id), method: Some(method), params, result, error })
}

fn classify(envelope: EnvelopeJson<'_>) -> Result<Message<'_>, EnvelopeError> {
    if envelope.jsonrpc.as_ref().map(Text::as_str) != Some("2.0") {
        return Err(EnvelopeError::NotJsonRpc("\"jsonrpc\" must be \"2.0\""));
    }
    if envelope.id.is_some_and(|id| !is_valid_id(id)) {
        return Err(EnvelopeError::NotJsonRpc("\"id\" must be a string or an integer"));
    }
    let params = envelope.params.map(|params| params.0).unwrap_or_default();
    match (envelope.method, envelope.id) {
        (Some(_), _) if envelope.result || envelope.error => {
            Err(EnvelopeError::NotJsonRpc("a message has either a \"method\" or a \"result\" or \"error\""))
        }
        (Some(method), Some(id)) => Ok(Message::Request { id, method, params }),
        (Some(method), None) => Ok(Message::Notification { method, params }),
        (None, Some(id)) if envelope.result != envelope.error => Ok(Message::Response { id }),
        (None, _) => Err(EnvelopeError::NotJsonRpc("no \"method\"")),
    }
}

/// Returns whether a request id is a string or an integer. Peers do not agree on fractions and exponents.
pub fn is_valid_id(id: &RawValue) -> bool {
    let text = id.get();
    text.starts_with('"')
        || (!text.is_empty() && text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit()))
}

/// Returns which of the three errors a message has. Slow; runs only for messages that are refused.
fn diagnose(body: &[u8], error: &serde_json::Error) -> EnvelopeError {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_is_read_without_its_arguments() {
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
    fn messages_are_told_apart_by_their_members() {
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","method":"x"}"#), Ok(Message::Notification { .. })));
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok(Message::Response { .. })));
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Ok(Message::Response { .. })));
    }

    #[test]
    fn an_error_names_the_layer_that_is_wrong() {
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
        let BadParams { id, .. } =
            refused(r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":3}}"#)
        else {
            panic!("bad params")
        };
        assert_eq!(id.as_deref(), Some("5"));
    }

    #[test]
    fn members_of_methods_that_no_specification_names_have_any_form() {
        for params in [
            r#"{"name":3,"_meta":{"progressToken":1}}"#,
            r#"{"ref":[],"uri":null,"_meta":{"progressToken":1}}"#,
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":5,"method":"skills/list","params":{params}}}"#);
            let Ok(Message::Request { params, .. }) = parse(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(params.meta.unwrap().progress_token.unwrap().get(), "1");
        }
    }

    fn member() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "jsonrpc",
            "id",
            "method",
            "params",
            "result",
            "error",
            "name",
            "uri",
            "ref",
            "taskId",
            "requestId",
            "requestState",
            "protocolVersion",
            "level",
            "capabilities",
            "_meta",
            "arguments",
            "progressToken",
            "traceparent",
            "n\\u0061me",
        ]);
        let value = prop::sample::select(vec![
            "\"2.0\"",
            "1",
            "-1.5",
            "null",
            "\"tools/call\"",
            "\"a\\u00e9\\n\"",
            "{}",
            "[]",
            "[\"a\"]",
            "{\"name\":\"x\"}",
            "true",
            "{\"progressToken\":7}",
            "{\"progressToken\":7,\"progressToken\":8}",
            "{\"traceparent\":1}",
            "{\"a\":[1e400]}",
        ]);
        (key, value).prop_map(|(key, value)| format!(",\"{key}\":{value}"))
    }

    proptest! {
        #[test]
        fn a_large_message_is_read_as_a_small_one_is(
            outer in prop::collection::vec(member(), 0..5),
            inner in prop::collection::vec(member(), 0..5),
            usual in any::<bool>(),
            bulk in prop::sample::select(vec!["x".repeat(5_000), format!("{}\n", "é".repeat(5_000)), "0\\\"".repeat(2_000)]),
        ) {
            let bulk = serde_json::to_string(&bulk).unwrap();
            let head = if usual { r#""jsonrpc":"2.0","id":"a","method":"tools/call","# } else { "" };
            let rest = outer.concat();
            let params = inner.concat();
            let text = format!(r#"{{{head}"params":{{"bulk":{bulk}{params}}}{rest}}}"#);
            prop_assert_eq!(format!("{:?}", parse(text.as_bytes())), format!("{:?}", parse_any(text.as_bytes())), "{}", text);
        }
    }

    #[test]
    fn a_usual_large_message_has_an_outline() {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{{"x":"{}"}}}}}}"#,
            "x".repeat(9_000)
        );
        let outline = Outline::of(text.as_bytes(), "params").unwrap();
        assert!(of_outline(&outline).is_some());
    }
}
