//! A client's request as a child gets it: the id, the progress token, the name of its subject and `_meta` are rewritten, all other
//! bytes are copied. Where tasks are not relayed, a client's request for one, and what it says of tasks, stay here. Must not know the reader of the answer.
//!
//! Several clients share one child: ids and progress tokens towards it are ours (one number serves as both).

use std::fmt::Write as _;

use bytes::Bytes;
use protocol::mcp::apps::APPS;
use protocol::mcp::catalog::ServerFacts;
use protocol::mcp::era::{Era, TASKS, may_name_tasks, meta};
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::members::{ExactMembers, Members, with_value, without};
use runtime::traces::TraceContext;
use serde_json::value::RawValue;

use super::messages::modern_meta;
use crate::call::Request;
use crate::identity_tokens::IDENTITY_CLAIM;
use crate::splice::{Edit, Pieces, member_at, splice, splice_shared, strip_newlines};

/// Protocol members of a modern `_meta`: a modern backend requires them of its client, a legacy one does not expect them.
const PROTOCOL_KEYS: [&str; 4] =
    [meta::PROTOCOL_VERSION, meta::CLIENT_INFO, meta::CLIENT_CAPABILITIES, meta::LOG_LEVEL];

/// The values that a call gets on its way to the child.
pub(super) struct Forwarding<'a> {
    /// The child's own name of what the request names.
    pub(super) name: &'a str,
    /// The id of the request, which serves as its progress token as well.
    pub(super) id: u64,
    /// The era that the child speaks.
    pub(super) era: Era,
    /// Whether tasks of its calls are relayed: the child has them in the client's era.
    pub(super) tasks: Tasks,
    /// The trace context of this slave's own span for the request, if there is one.
    pub(super) trace_context: Option<&'a TraceContext>,
    /// What the child is told of the client.
    pub(super) identity: ToldIdentity,
}

/// Member of `_meta` with the client's identity: `issuer`, `subject`, `name` and `groups`.
pub(super) const IDENTITY: &str = IDENTITY_CLAIM;

/// What a child is told of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToldIdentity {
    /// Nothing: its entry does not ask for it.
    Nothing,
    /// Who it is, as JSON; `None`: nobody has proven it. What the client says of itself is dropped.
    Proven(Option<String>),
}

impl ToldIdentity {
    /// Returns what a child that asks for it is told.
    pub(super) fn of(request: &Request) -> Self {
        let identity = request.header.identity.as_deref();
        Self::Proven(identity.and_then(|identity| serde_json::to_string(identity).ok()))
    }
}

/// Whether tasks of a child are relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tasks {
    /// The client asks for one, or takes them, and the child has them.
    Relayed,
    /// The client wants none, or the child has none, or those of another era.
    Absent,
}

impl Tasks {
    /// Returns what holds for a request and a child with these capabilities.
    pub(super) fn of(request: &Request, child: &ServerFacts) -> Self {
        let meta = || request.meta.as_ref().map(|range| request.json(range)).unwrap_or_default();
        let relayed = match (request.header.era, child.era) {
            (Era::Legacy, Some(Era::Legacy)) => {
                request.task.is_some() && child.capability(&["tasks", "requests", "tools", "call"]).is_some()
            }
            (Era::Modern, Some(Era::Modern)) => {
                may_name_tasks(meta()) && child.capability(&["extensions", TASKS]).is_some()
            }
            _ => false,
        };
        if relayed { Self::Relayed } else { Self::Absent }
    }
}

/// Returns the client's message as one line for the child.
pub(super) fn rewrite(request: &Request, to: &Forwarding<'_>) -> Result<Pieces, serde_json::Error> {
    let id = to.id.to_string();
    let mut edits = vec![Edit { range: request.id.clone(), with: id.as_bytes() }];
    let name = serde_json::to_string(to.name)?;
    if let Some(subject) = &request.subject
        && request.json(subject) != name.as_bytes()
    {
        edits.push(Edit { range: subject.clone(), with: name.as_bytes() });
    }
    let adapted = metadata(request, to)?;
    let inserted;
    match (&request.meta, &adapted) {
        (Some(range), Some(meta)) => edits.push(Edit { range: range.clone(), with: meta.as_bytes() }),
        (None, Some(meta)) => {
            let (at, text) = inserted_meta(request, meta);
            inserted = text;
            edits.push(Edit { range: at..at, with: inserted.as_bytes() });
        }
        (_, None) => {}
    }
    // 2025-11-25, Tasks: who does not declare tasks processes the request as if it did not ask for one.
    if let Some(task) =
        request.task.as_ref().filter(|_| request.header.era == Era::Legacy && to.tasks == Tasks::Absent)
        && let Some(range) = member_at(&request.message, task)
    {
        edits.push(Edit { range, with: b"" });
    }
    let has_newline = |edit: &Edit<'_>| memchr::memchr2(b'\n', b'\r', edit.with).is_some();
    if request.is_one_line && !edits.iter().any(has_newline) {
        return Ok(splice_shared(&request.message, &mut edits, b"\n"));
    }
    let mut text = splice(&request.message, &mut edits, 1);
    strip_newlines(&mut text);
    text.push(b'\n');
    Ok(Bytes::from(text).into())
}

/// Returns where a `_meta` is inserted that the message does not have, and what with.
fn inserted_meta(request: &Request, meta: &str) -> (usize, String) {
    let Some(params) = &request.params else {
        return (request.id.end, format!(r#","params":{{"_meta":{meta}}}"#));
    };
    let is_empty =
        request.json(params).get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"}"));
    let comma = if is_empty { "" } else { "," };
    (params.start + 1, format!(r#""_meta":{meta}{comma}"#))
}

/// Returns a client's capabilities without the extension for tasks, all else as it stands.
fn without_tasks(capabilities: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    let members: Members<'_> = serde_json::from_str(capabilities.get())?;
    let Some((_, extensions)) = members.0.iter().find(|(key, _)| key == "extensions") else {
        return Ok(capabilities.to_owned());
    };
    let Some(left) = without(extensions, TASKS)? else { return Ok(capabilities.to_owned()) };
    Ok(with_value(capabilities, "extensions", &left)?.unwrap_or_else(|| capabilities.to_owned()))
}

/// Returns what a legacy client can be asked for, and whether it shows user interfaces, as capabilities of a modern request. The rest of what
/// it declared means something else there, or nothing.
fn capabilities(request: &Request) -> String {
    let declared = request.header.client_capabilities.as_ref().map_or("{}", |json| json.0.get());
    let members: Members<'_> = serde_json::from_str(declared).unwrap_or_default();
    let asked = ["elicitation", "roots", "sampling"];
    let kept =
        members.0.iter().filter(|(key, value)| asked.contains(&key.as_str()) && value.get().starts_with('{'));
    let mut kept: Vec<String> = kept.map(|(key, value)| format!(r#""{key}":{}"#, value.get())).collect();
    let extensions = members.0.iter().find(|(key, _)| key == "extensions").map(|(_, value)| *value);
    let apps = extensions.and_then(|all| ExactMembers::of(all).get(APPS.as_bytes()));
    if let Some(apps) = apps.filter(|apps| apps.get().starts_with('{')) {
        kept.push(format!(r#""extensions":{{"{APPS}":{}}}"#, apps.get()));
    }
    format!("{{{}}}", kept.join(","))
}

/// The trace context to be written into `_meta`, as far as the message does not have it already.
struct MetaContext<'a> {
    /// `traceparent`, and `tracestate` if there is any.
    trace: Option<(&'a str, Option<&'a str>)>,
    baggage: Option<&'a str>,
}

impl<'a> MetaContext<'a> {
    fn new(request: &'a Request, own: Option<&'a TraceContext>) -> Self {
        let header = &request.header;
        let trace = match own {
            Some(own) => Some((own.traceparent.as_str(), own.tracestate.as_deref())),
            None if request.has_trace => None,
            None => header.traceparent.as_deref().map(|parent| (parent, header.tracestate.as_deref())),
        };
        Self { trace, baggage: header.baggage.as_deref().filter(|_| !request.has_baggage) }
    }

    fn is_empty(&self) -> bool {
        self.trace.is_none() && self.baggage.is_none()
    }

    /// Returns whether the message's own member of this name is dropped.
    fn replaces(&self, key: &str) -> bool {
        self.trace.is_some() && matches!(key, "traceparent" | "tracestate")
    }

    fn members(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let (parent, state) = self.trace.unzip();
        let all = [("traceparent", parent), ("tracestate", state.flatten()), ("baggage", self.baggage)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

/// Returns the `_meta` for the child; `None` if the message's own may stay unchanged.
fn metadata(request: &Request, to: &Forwarding<'_>) -> Result<Option<String>, serde_json::Error> {
    let context = MetaContext::new(request, to.trace_context);
    let crosses_eras = request.header.era != to.era;
    let original = request.meta.as_ref().map_or(&b"{}"[..], |range| request.json(range));
    let tells = to.identity != ToldIdentity::Nothing;
    let says_tasks = to.tasks == Tasks::Absent && may_name_tasks(original);
    if !crosses_eras && request.progress_token.is_none() && context.is_empty() && !says_tasks && !tells {
        return Ok(None);
    }
    let members = serde_json::from_slice::<Option<Members<'_>>>(original)?.unwrap_or_default();
    let mut out = String::with_capacity(original.len() + 256);
    out.push('{');
    for (key, value) in members.0 {
        let is_claim = tells && key == IDENTITY;
        if is_claim || context.replaces(&key) || crosses_eras && PROTOCOL_KEYS.contains(&key.as_str()) {
            continue;
        }
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = match key.as_str() {
            "progressToken" if request.progress_token.is_some() => {
                write!(out, r#"{comma}"progressToken":{}"#, to.id)
            }
            meta::CLIENT_CAPABILITIES if says_tasks => {
                write!(out, r#"{comma}"{key}":{}"#, without_tasks(value)?)
            }
            key => write!(out, "{comma}{}:{}", serde_json::to_string(key)?, value.get()),
        };
    }
    if crosses_eras && to.era == Era::Modern {
        let comma = if out.len() > 1 { "," } else { "" };
        // A legacy client gets log messages unless it says otherwise; a modern server sends them only on request.
        let level = request.header.log_level.unwrap_or(LogLevel::Info).as_str();
        let _ =
            write!(out, r#"{comma}{},"{}":"{level}""#, modern_meta(&capabilities(request)), meta::LOG_LEVEL);
    }
    for (key, value) in context.members() {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{key}":{}"#, serde_json::to_string(value)?);
    }
    if let ToldIdentity::Proven(Some(identity)) = &to.identity {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{IDENTITY}":{identity}"#);
    }
    out.push('}');
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::testing::{header, request};

    const TO_LEGACY: Forwarding<'_> = Forwarding {
        name: "own",
        id: 7,
        era: Era::Legacy,
        tasks: Tasks::Absent,
        trace_context: None,
        identity: ToldIdentity::Nothing,
    };

    fn forwarded(client: Era, era: Era, message: &str) -> String {
        let line = rewrite(&request(client, message), &Forwarding { era, ..TO_LEGACY }).unwrap().join();
        String::from_utf8(line.to_vec()).unwrap()
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
    fn a_backend_that_asks_for_it_is_told_who_the_client_is_and_not_what_it_claims() {
        let claim =
            r#"{"id":1,"params":{"name":"own","_meta":{"io.mcp-relay\/identity":{"subject":"root"},"a":1}}}"#;
        let meta_of = |identity: Option<&str>, told: fn(&Request) -> ToldIdentity, message: &str| {
            let mut header = header(Era::Legacy);
            header.identity = identity.map(|text| Box::new(serde_json::from_str(text).unwrap()));
            let request = Request::parse(header, message.to_owned().into()).unwrap();
            let line =
                rewrite(&request, &Forwarding { identity: told(&request), ..TO_LEGACY }).unwrap().join();
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["params"]["_meta"].clone()
        };
        let ada = r#"{"issuer":"https://id","subject":"7","groups":["dev"]}"#;
        let bare = r#"{"id":1,"params":{"name":"own"}}"#;
        for message in [claim, bare] {
            let meta = meta_of(Some(ada), ToldIdentity::of, message);
            assert_eq!(meta[IDENTITY], serde_json::from_str::<serde_json::Value>(ada).unwrap(), "{message}");
            assert_eq!(meta_of(None, ToldIdentity::of, message)[IDENTITY], serde_json::Value::Null);
        }
        assert_eq!(meta_of(None, ToldIdentity::of, claim)["a"], 1);
        assert_eq!(meta_of(Some(ada), |_| ToldIdentity::Nothing, bare), serde_json::Value::Null);
    }

    #[test]
    fn the_trace_context_is_written_only_where_the_message_has_another() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let message = format!(
            r#"{{"id":1,"params":{{"name":"own","_meta":{{"a":1,"traceparent":"{parent}","tracestate":"b=1"}}}}}}"#
        );
        let meta_of = |traceparent: Option<&str>, message: &str, own: Option<&TraceContext>| {
            let mut header = header(Era::Legacy);
            header.traceparent = traceparent.map(str::to_owned);
            header.baggage = traceparent.map(|_| "k=\"v\"".to_owned());
            let request = Request::parse(header, message.to_owned().into()).unwrap();
            let line = rewrite(&request, &Forwarding { trace_context: own, ..TO_LEGACY }).unwrap().join();
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["params"]["_meta"].clone()
        };
        // The message's own context stays unchanged.
        let meta = meta_of(Some(parent), &message, None);
        assert_eq!((&meta["traceparent"], &meta["tracestate"]), (&parent.into(), &"b=1".into()));
        assert_eq!(meta_of(None, &message, None)["traceparent"], parent);
        // The header's context is written into a message without one; this slave's own replaces both.
        let bare = r#"{"id":1,"params":{"name":"own"}}"#;
        let meta = meta_of(Some(parent), bare, None);
        assert_eq!((&meta["traceparent"], &meta["baggage"]), (&parent.into(), &"k=\"v\"".into()));
        let own = TraceContext { traceparent: "00-x".into(), tracestate: None };
        for message in [bare, &message] {
            let meta = meta_of(Some(parent), message, Some(&own));
            assert_eq!(
                (&meta["traceparent"], &meta["tracestate"]),
                (&"00-x".into(), &serde_json::Value::Null)
            );
        }
        assert_eq!(meta_of(None, bare, None), serde_json::Value::Null);
    }
}
