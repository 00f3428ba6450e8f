//! A message to a server, as far as its headers and its way depend on it. Must not know connections.

use std::ops::Range;

use bytes::Bytes;
use protocol::link::identity::Identity;
use protocol::mcp::era::Version;
use protocol::mcp::outline::{Member, Outline};
use protocol::mcp::splice::range_in;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A message to the server.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// One JSON value.
    pub(super) body: Bytes,
    /// The id of a request; `None` for notifications and for answers to the server's requests.
    pub(super) id: Option<u64>,
    /// The method; empty for answers.
    pub(super) method: String,
    /// What a modern request names in its header (2026-07-28, Streamable HTTP, "Standard Headers").
    pub(super) name: Option<String>,
    /// The version of a modern request.
    pub(super) version: Option<Version>,
    /// The request that a notification cancels.
    pub(super) cancels: Option<u64>,
    /// The arguments of a call, as JSON.
    pub(super) arguments: Option<Bytes>,
    /// The client of a call, as this slave has written it into the message.
    pub(super) client: Option<Identity>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(rename = "taskId", borrow, default)]
    task: Option<&'a RawValue>,
    #[serde(rename = "requestId", borrow, default)]
    request: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "_meta", borrow, default)]
    meta: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(rename = "io.mcp-relay/identity", borrow, default)]
    client: Option<&'a RawValue>,
}

fn read<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

/// Members of a message that matter here.
#[derive(Default)]
struct Members<'a> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Params<'a>,
    /// Where `params.arguments` stand.
    arguments: Option<Range<usize>>,
}

impl<'a> Members<'a> {
    /// Reads any message; none where it cannot be read.
    fn read(body: &'a [u8]) -> Self {
        let Ok(Message { id, method, params }) = serde_json::from_slice(body) else { return Self::default() };
        let params: Params<'_> = read(params).unwrap_or_default();
        Self { id, method, arguments: params.arguments.map(|json| range_in(body, json)), params }
    }

    /// Reads a large message; `None` where anything is not as usual.
    fn of_outline(outline: &Outline<'a>) -> Option<Self> {
        let value = |key| outline.find(key).and_then(|value| outline.read(value));
        let (mut params, mut arguments) = (Params::default(), None);
        for Member { key, value } in &outline.inner {
            match *key {
                b"name" => params.name = outline.read(value)?,
                b"uri" => params.uri = outline.read(value)?,
                b"taskId" => params.task = outline.read(value)?,
                b"requestId" => params.request = outline.read(value)?,
                b"_meta" => params.meta = outline.read(value)?,
                b"arguments" if outline.json(value) != b"null" => arguments = Some(value.clone()),
                _ => {}
            }
        }
        Some(Self { id: value(b"id"), method: value(b"method"), params, arguments })
    }
}

impl Outgoing {
    /// Reads a message of the session.
    pub(super) fn read(body: &Bytes) -> Self {
        let body = body.slice(..body.trim_ascii_end().len());
        let outlined = Outline::of(&body, "params").and_then(|outline| Members::of_outline(&outline));
        let Members { id, method, params, arguments } = outlined.unwrap_or_else(|| Members::read(&body));
        let meta: Meta<'_> = read(params.meta).unwrap_or_default();
        let method: String = read(method).unwrap_or_default();
        let name = match method.as_str() {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" => params.uri,
            _ if method.starts_with("tasks/") => params.task,
            _ => None,
        };
        Self {
            id: read(id).filter(|_| !method.is_empty()),
            name: read(name),
            client: read(meta.client),
            version: read::<String>(meta.version).and_then(|version| Version::parse(&version)),
            cancels: read(params.request).filter(|_| method == "notifications/cancelled"),
            arguments: arguments.filter(|_| method == "tools/call").map(|range| body.slice(range)),
            method,
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_answers_and_cancellations_are_told_apart() {
        let read = |text: &'static str| Outgoing::read(&Bytes::from_static(text.as_bytes()));
        let call = read(
            r#"{"id":4,"method":"tools/call","params":{"name":"t","arguments":{"x":"\ud800"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}
"#,
        );
        assert_eq!((call.id, call.method.as_str(), call.name.as_deref()), (Some(4), "tools/call", Some("t")));
        assert_eq!(call.version, Some(Version::NEWEST));
        assert!(call.arguments.is_some() && call.body.ends_with(b"}"));
        let told =
            read(r#"{"id":4,"method":"ping","params":{"_meta":{"io.mcp-relay/identity":{"subject":"ci"}}}}"#);
        assert_eq!(told.client.map(|client| client.subject).as_deref(), Some("ci"));
        let answer = read(r#"{"id":4,"result":{}}"#);
        assert_eq!((answer.id, answer.method.as_str()), (None, ""));
        let cancel = read(r#"{"method":"notifications/cancelled","params":{"requestId":9}}"#);
        assert_eq!((cancel.id, cancel.cancels), (None, Some(9)));
        let resource = read(r#"{"id":1,"method":"resources/read","params":{"uri":"a:b","name":"no"}}"#);
        assert_eq!((resource.name.as_deref(), resource.version), (Some("a:b"), None));
        assert_eq!(read("no json").id, None);
    }

    #[test]
    fn a_large_message_reads_as_a_small_one() {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.mcp-relay/identity":{"subject":"ci"}}"#;
        for (before, after) in [
            (r#"{"id":4,"method":"tools/call","params":{"name":"t","arguments":{"x":""#, r#""},META}}"#),
            (r#"{"id":4,"method":"tools/call","params":{"name":"t","arguments":null,"x":[""#, r#""],META}}"#),
            (r#"{"id":4,"method":"tools/call","params":{"name":7,"arguments":{"x":""#, r#""}}}"#),
            (
                r#"{"id":4,"method":"tools/call","params":{"name":"t","name":"u","arguments":{"x":""#,
                r#""}}}"#,
            ),
            (r#"{"id":4,"method":"resources/read","params":{"uri":"a:b","name":""#, r#"",META}}"#),
            (r#"{"id":4,"method":"tasks/get","params":{"taskId":"k","x":""#, r#"",META}}"#),
            (r#"{"method":"notifications/cancelled","params":{"requestId":9,"reason":""#, r#""}}"#),
            (r#"{"id":4,"result":{"content":[],"x":""#, r#""}}"#),
            (r#"{"id":4,"method":"ping","params":[""#, r#""]}"#),
            (r#"{"id":4,"method":"ping","x":""#, "\"}\n"),
            (r#"{"id":4,"method":"tools/call","params":{"name":"t","arguments":{"x":""#, r#""}}"#),
        ] {
            let told = |filling: &str| {
                let text = format!("{before}{filling}{}", after.replace("META", meta));
                let mut read = Outgoing::read(&Bytes::from(text.clone()));
                assert_eq!(read.body, text.trim_end());
                read.body = Bytes::new();
                format!("{read:?}").replace(filling, "")
            };
            assert_eq!(told(&"z".repeat(10_000)), told("zz"), "{before}");
        }
    }
}
