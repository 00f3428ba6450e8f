//! Messages to a child, each one line: our own requests and the clients' calls rewritten. Must not know who waits.
//!
//! Several clients share one child: ids and progress tokens are ours on the way in (one number serves as both).

use std::fmt::Write as _;

use bytes::Bytes;
use protocol::mcp::era::{Era, Version, meta};
use protocol::mcp::members::Members;
use runtime::traces::TraceContext;

use crate::adapt::{Edit, splice, unline};
use crate::executor::ToolCall;

/// Who we are to a child, in both eras.
const CLIENT_INFO: &str = concat!(r#"{"name":"mcp-relay","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// Protocol members of a modern `_meta`: required of a modern backend's client, and nothing that a legacy one expects.
const PROTOCOL_KEYS: [&str; 4] =
    [meta::PROTOCOL_VERSION, meta::CLIENT_INFO, meta::CLIENT_CAPABILITIES, meta::LOG_LEVEL];

/// The required members of a modern request's `_meta`, for requests that are ours or a legacy client's.
fn modern_meta() -> String {
    format!(
        r#""{}":"{}","{}":{CLIENT_INFO},"{}":{{}}"#,
        meta::PROTOCOL_VERSION,
        Version::NEWEST.as_str(),
        meta::CLIENT_INFO,
        meta::CLIENT_CAPABILITIES
    )
}

fn line(mut text: String) -> Bytes {
    text.push('\n');
    text.into()
}

/// A request of ours. `params` are members without braces; the era's metadata is added.
pub(super) fn request(id: u64, method: &str, params: &str, era: Era) -> Bytes {
    let meta = match era {
        Era::Modern => format!(r#""_meta":{{{}}}"#, modern_meta()),
        Era::Legacy => String::new(),
    };
    let comma = if params.is_empty() || meta.is_empty() { "" } else { "," };
    line(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{meta}}}}}"#))
}

/// `initialize` with our newest legacy version. We offer no capabilities: requests of the backend are refused.
pub(super) fn initialize(id: u64) -> Bytes {
    let params = format!(
        r#""protocolVersion":"{}","capabilities":{{}},"clientInfo":{CLIENT_INFO}"#,
        Version::NEWEST_LEGACY.as_str()
    );
    request(id, "initialize", &params, Era::Legacy)
}

/// `notifications/initialized`.
pub(super) fn initialized() -> Bytes {
    line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into())
}

/// `notifications/cancelled` for a request of ours.
pub(super) fn cancelled(id: u64) -> Bytes {
    line(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"cancelled by the client"}}}}"#
    ))
}

/// The answer to a backend's `ping`. `id` as it stands.
pub(super) fn pong(id: &str) -> Bytes {
    line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
}

/// The refusal of a backend's request. `id` as it stands.
pub(super) fn refusal(id: &str) -> Bytes {
    line(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found: this client takes no requests"}}}}"#
    ))
}

/// A client's call as the child gets it: our id and token, the child's name of the tool, metadata of the child's era.
/// Everything else is copied byte for byte.
///
/// `carried`: the trace context of the span that this slave made for the question.
pub(super) fn forward(
    call: &ToolCall,
    tool: &str,
    (id, era): (u64, Era),
    carried: Option<&TraceContext>,
) -> Result<Bytes, serde_json::Error> {
    let id_text = id.to_string();
    let mut edits = vec![Edit { place: call.id.clone(), with: id_text.as_bytes() }];
    let name = serde_json::to_string(tool)?;
    if call.at(&call.name_place) != name.as_bytes() {
        edits.push(Edit { place: call.name_place.clone(), with: name.as_bytes() });
    }
    let adapted = metadata(call, (id, era), &Context::of(call, carried))?;
    let inserted;
    match (&call.meta, &adapted) {
        (Some(place), Some(meta)) => edits.push(Edit { place: place.clone(), with: meta.as_bytes() }),
        (None, Some(meta)) => {
            inserted = format!(r#","_meta":{meta}"#);
            edits.push(Edit { place: call.name_place.end..call.name_place.end, with: inserted.as_bytes() });
        }
        (_, None) => {}
    }
    let mut text = splice(&call.message, &mut edits, 1);
    unline(&mut text);
    text.push(b'\n');
    Ok(text.into())
}

/// The trace context that the child is to find in `_meta`, where it is not what the message has already.
struct Context<'a> {
    /// `traceparent`, and `tracestate` if there is any.
    trace: Option<(&'a str, Option<&'a str>)>,
    baggage: Option<&'a str>,
}

impl<'a> Context<'a> {
    fn of(call: &'a ToolCall, carried: Option<&'a TraceContext>) -> Self {
        let header = &call.header;
        let trace = match carried {
            Some(carried) => Some((carried.traceparent.as_str(), carried.tracestate.as_deref())),
            None if call.has_trace => None,
            None => header.traceparent.as_deref().map(|parent| (parent, header.tracestate.as_deref())),
        };
        Self { trace, baggage: header.baggage.as_deref().filter(|_| !call.has_baggage) }
    }

    fn is_nothing(&self) -> bool {
        self.trace.is_none() && self.baggage.is_none()
    }

    /// Whether a member of the message's gives way.
    fn replaces(&self, key: &str) -> bool {
        self.trace.is_some() && matches!(key, "traceparent" | "tracestate")
    }

    fn members(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let (parent, state) = self.trace.unzip();
        let all = [("traceparent", parent), ("tracestate", state.flatten()), ("baggage", self.baggage)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

/// The `_meta` for the child; `None` if it may stay as it is.
fn metadata(
    call: &ToolCall,
    (id, era): (u64, Era),
    context: &Context<'_>,
) -> Result<Option<String>, serde_json::Error> {
    let client = call.header.era;
    if client == era && call.progress_token.is_none() && context.is_nothing() {
        return Ok(None);
    }
    let original = call.meta.as_ref().map_or(&b"{}"[..], |place| call.at(place));
    let members = serde_json::from_slice::<Option<Members<'_>>>(original)?.unwrap_or_default();
    let mut out = String::with_capacity(original.len() + 256);
    out.push('{');
    for (key, value) in members.0 {
        if context.replaces(&key) || client != era && PROTOCOL_KEYS.contains(&key.as_str()) {
            continue;
        }
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = match key.as_str() {
            "progressToken" if call.progress_token.is_some() => write!(out, r#"{comma}"progressToken":{id}"#),
            key => write!(out, "{comma}{}:{}", serde_json::to_string(key)?, value.get()),
        };
    }
    if client != era && era == Era::Modern {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, "{comma}{}", modern_meta());
    }
    for (key, value) in context.members() {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{key}":{}"#, serde_json::to_string(value)?);
    }
    out.push('}');
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::testing::call;

    fn forwarded(client: Era, backend: Era, message: &str) -> String {
        let call = call(client, message);
        String::from_utf8(forward(&call, "own", (7, backend), None).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_call_within_one_era_changes_id_name_and_token_only() {
        let message = "{\"jsonrpc\":\"2.0\",\n\"id\":\"x\",\"z\":1.0,\"params\":{\"arguments\":{\"b\": [1e2,\"\\n\"]},\"name\":\"a__own\",\"_meta\":{\"k\":{\"q\":1e5},\"progressToken\":\"t\",\"l\":2}}}";
        let expected = "{\"jsonrpc\":\"2.0\", \"id\":7,\"z\":1.0,\"params\":{\"arguments\":{\"b\": [1e2,\"\\n\"]},\"name\":\"own\",\"_meta\":{\"k\":{\"q\":1e5},\"progressToken\":7,\"l\":2}}}\n";
        assert_eq!(forwarded(Era::Legacy, Era::Legacy, message), expected);
        assert_eq!(forwarded(Era::Modern, Era::Modern, message), expected);
        let bare = r#"{"id":1,"params":{"name":"own","_meta":{ "a" : 1 }}}"#;
        assert_eq!(
            forwarded(Era::Legacy, Era::Legacy, bare),
            r#"{"id":7,"params":{"name":"own","_meta":{ "a" : 1 }}}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn a_legacy_client_s_call_gets_what_a_modern_backend_requires() {
        for message in [
            r#"{"id":1,"params":{"name":"x"}}"#,
            r#"{"id":1,"params":{"name":"x","_meta":null}}"#,
            r#"{"id":1,"params":{"_meta":{"traceparent":"00"},"name":"x"}}"#,
        ] {
            let text = forwarded(Era::Legacy, Era::Modern, message);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let meta = &value["params"]["_meta"];
            assert_eq!(meta[meta::PROTOCOL_VERSION], "2026-07-28", "{text}");
            assert!(meta[meta::CLIENT_CAPABILITIES].is_object());
            assert_eq!(meta[meta::CLIENT_INFO]["name"], "mcp-relay");
            assert_eq!(message.contains("traceparent"), meta["traceparent"] == "00");
        }
    }

    #[test]
    fn a_modern_client_s_protocol_members_stay_away_from_a_legacy_backend() {
        let message = r#"{"id":1,"params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","a":1,"io.modelcontextprotocol/clientCapabilities":{},"progressToken":9}}}"#;
        assert_eq!(
            forwarded(Era::Modern, Era::Legacy, message),
            r#"{"id":7,"params":{"name":"own","_meta":{"a":1,"progressToken":7}}}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn the_trace_context_is_written_only_where_the_message_has_another() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let message = format!(
            r#"{{"id":1,"params":{{"name":"own","_meta":{{"a":1,"traceparent":"{parent}","tracestate":"b=1"}}}}}}"#
        );
        let told = |traceparent: Option<&str>, message: &str, carried: Option<&TraceContext>| {
            let mut header = crate::executor::testing::header(Era::Legacy);
            header.traceparent = traceparent.map(str::to_owned);
            header.baggage = traceparent.map(|_| "k=\"v\"".to_owned());
            let call = ToolCall::parse(header, message.to_owned().into()).unwrap();
            let line = forward(&call, "own", (7, Era::Legacy), carried).unwrap();
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["params"]["_meta"].clone()
        };
        // What the message says itself stays as it stands.
        let meta = told(Some(parent), &message, None);
        assert_eq!((&meta["traceparent"], &meta["tracestate"]), (&parent.into(), &"b=1".into()));
        assert_eq!(told(None, &message, None)["traceparent"], parent);
        // What came beside it is written into it, and what this slave makes goes before both.
        let bare = r#"{"id":1,"params":{"name":"own"}}"#;
        let meta = told(Some(parent), bare, None);
        assert_eq!((&meta["traceparent"], &meta["baggage"]), (&parent.into(), &"k=\"v\"".into()));
        let own = TraceContext { traceparent: "00-x".into(), tracestate: None };
        for message in [bare, &message] {
            let meta = told(Some(parent), message, Some(&own));
            assert_eq!(
                (&meta["traceparent"], &meta["tracestate"]),
                (&"00-x".into(), &serde_json::Value::Null)
            );
        }
        assert_eq!(told(None, bare, None), serde_json::Value::Null);
    }

    #[test]
    fn our_own_messages_are_json() {
        for message in [
            request(1, "tools/list", "", Era::Legacy),
            request(1, "tools/list", r#""cursor":"x""#, Era::Modern),
            request(1, "server/discover", "", Era::Modern),
            initialize(1),
            initialized(),
            cancelled(3),
            pong("\"a\""),
            refusal("4"),
        ] {
            let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(value["jsonrpc"], "2.0");
            assert_eq!(memchr::memchr(b'\n', &message), Some(message.len() - 1));
        }
    }
}
