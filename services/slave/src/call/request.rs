//! A call's request: the client's message and the byte ranges of its members. Must not know backends.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::envelope::Text;
use protocol::mcp::era::{Era, may_name_tasks};
use protocol::mcp::failure::Failure;
use protocol::mcp::json_text;
use protocol::mcp::kind::Kind;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::method::{Method, Subject};
use protocol::mcp::outline::{Member, Outline};
use protocol::mcp::request_state::RequestState;
use runtime::traces::Parent;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::handle::CancelReason;
use crate::splice::range_in;

/// Where a task is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskOrigin {
    /// Number of the backend's process that has the task; 0: of a backend that is none of this slave's processes.
    pub(crate) generation: u64,
    /// The tool that made the task, as this slave's catalog has it.
    pub(crate) tool: Arc<str>,
}

/// A request with its message untouched. Ranges are byte ranges of `message`.
#[derive(Debug)]
pub(crate) struct Request {
    /// The header that came with the request.
    pub(crate) header: CallHeader,
    /// The client's whole JSON-RPC request.
    pub(crate) message: Bytes,
    /// Kind of what the request names; `None`: it names nothing.
    pub(crate) kind: Option<Kind>,
    /// What it names, as this slave's catalog has it; empty where it names nothing.
    pub(crate) name: String,
    /// Where the task is from that the request is about, once its id was read.
    pub(crate) task_origin: Option<TaskOrigin>,
    /// Whether the message is known to be on one line.
    pub(crate) is_one_line: bool,
    /// The range of the request's id.
    pub(crate) id: Range<usize>,
    /// The range of the value that names the subject: `params.name`, `params.uri`, `params.taskId` or the same within `params.ref`.
    pub(crate) subject: Option<Range<usize>>,
    /// The range of `params`; `None`: the request has none.
    pub(crate) params: Option<Range<usize>>,
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
    /// Why the call is cancelled, once it is.
    pub(crate) cancel_reason: CancelReason,
}

/// What a `tools/call` must be, for the one who wrote it.
const EXPECTED_CALL: &str = "a call must have an \"id\" and \"params\" with the \"name\" of a tool and its \"arguments\", for example {\"name\": \"echo\", \"arguments\": {\"text\": \"hello\"}}";

/// Returns what the parameters of a request about this subject must be, for the one who wrote it.
fn expected(subject: Subject) -> &'static str {
    match subject {
        Subject::Name(Kind::Tool) => EXPECTED_CALL,
        Subject::Name(_) => {
            "\"params\" must have the \"name\" of a prompt, for example {\"name\": \"greet\"}"
        }
        Subject::Uri => {
            "\"params\" must have the \"uri\" of a resource, for example {\"uri\": \"file:///notes.txt\"}"
        }
        Subject::Reference => {
            "\"params\" must have a \"ref\", for example {\"type\": \"ref/prompt\", \"name\": \"greet\"}"
        }
        Subject::Task => "\"params\" must have a \"taskId\"",
        Subject::Nothing => "a request must have an \"id\", and \"params\" that are an object, if any",
    }
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    /// Read only where the method has one: another's member of this name may be anything.
    #[serde(rename = "ref", borrow, default)]
    reference: Option<&'a RawValue>,
    #[serde(rename = "taskId", borrow, default)]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present_or_null")]
    task: Option<&'a RawValue>,
    /// `Some` also for `null`, whose range may have to be replaced.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "present_or_null")]
    meta: Option<&'a RawValue>,
}

/// Members of a request that matter here.
struct Members<'a> {
    id: &'a RawValue,
    /// Where `params` stand; `None`: there are none.
    at: Option<Range<usize>>,
    params: Params<'a>,
    /// Where `params.arguments` stand.
    arguments: Option<Range<usize>>,
}

impl<'a> Members<'a> {
    /// Reads any message; `None` where it is no request.
    fn read(message: &'a [u8]) -> Option<Self> {
        let raw: RawRequest<'_> = json_text::read(message).ok()?;
        // serde would also take an array of the members in their order.
        let raw_params = raw.params.filter(|params| params.get() != "null");
        let params: Params<'_> = match raw_params {
            Some(params) if params.get().starts_with('{') => serde_json::from_str(params.get()).ok()?,
            Some(_) => return None,
            None => Params::default(),
        };
        let range = |json| range_in(message, json);
        let (at, arguments) = (raw_params.map(range), params.arguments.map(range));
        Some(Self { id: raw.id, at, params, arguments })
    }

    /// Reads a large message; `None` where anything is not as usual.
    fn of_outline(outline: &Outline<'a>) -> Option<Self> {
        let id = outline.read(outline.find(b"id")?)?;
        let at = outline.find(b"params")?.clone();
        if !outline.json(&at).starts_with(b"{") {
            return None;
        }
        let (mut params, mut arguments) = (Params::default(), None);
        for Member { key, value } in &outline.inner {
            match *key {
                b"name" => params.name = outline.read(value)?,
                b"uri" => params.uri = outline.read(value)?,
                b"ref" => params.reference = outline.read(value)?,
                b"taskId" => params.task_id = outline.read(value)?,
                b"task" => params.task = Some(outline.read(value)?),
                b"_meta" => params.meta = Some(outline.read(value)?),
                b"arguments" if outline.json(value) != b"null" => arguments = Some(value.clone()),
                _ => {}
            }
        }
        Some(Self { id, at: Some(at), params, arguments })
    }
}

/// What a completion is for (2025-11-25, Completion, "Reference Types").
#[derive(Default, Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
}

impl<'a> Params<'a> {
    /// Returns the value that names the subject, and the kind of what it names.
    fn subject(&self, subject: Subject) -> (Option<Kind>, Option<&'a RawValue>) {
        match subject {
            Subject::Nothing => (None, None),
            Subject::Name(kind) => (Some(kind), self.name),
            Subject::Uri => (Some(Kind::Resource), self.uri),
            Subject::Task => (Some(Kind::Task), self.task_id),
            Subject::Reference => match self.reference.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
                Some(Reference { name: Some(name), .. }) => (Some(Kind::Prompt), Some(name)),
                Some(Reference { uri, .. }) => (Some(Kind::Template), uri),
                None => (Some(Kind::Prompt), None),
            },
        }
    }
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
    /// Finds the ranges. Fails with [`Failure::InvalidParams`] for a message that is no valid request of its method.
    pub(crate) fn parse(header: CallHeader, message: Bytes) -> Result<Self, Failure> {
        let invalid = |text: &str| Failure::InvalidParams(text.to_owned());
        let subject = Method::find(&header.method).map_or(Subject::Nothing, |method| method.subject);
        let unreadable = || invalid(expected(subject));
        let members = Outline::of(&message, "params").and_then(|outline| Members::of_outline(&outline));
        // An outline is of a text on one line only.
        let is_one_line = members.is_some();
        let Members { id, at, params, arguments } =
            members.or_else(|| Members::read(&message)).ok_or_else(unreadable)?;
        let meta = match params.meta {
            Some(raw) => serde_json::from_str::<Option<Meta<'_>>>(raw.get())
                .map_err(|_| invalid("\"_meta\" must be an object, for example {\"progressToken\": 1}"))?
                .unwrap_or_default(),
            None => Meta::default(),
        };
        let range = |json: &RawValue| range_in(&message, json);
        let (kind, named) = params.subject(subject);
        if kind.is_some() && named.is_none() {
            return Err(unreadable());
        }
        let name = match (&header.name, named) {
            (Some(name), _) => name.clone(),
            (None, Some(named)) => {
                serde_json::from_str::<Text<'_>>(named.get()).map_err(|_| unreadable())?.0.into_owned()
            }
            (None, None) => String::new(),
        };
        Ok(Self {
            task_origin: None,
            is_one_line,
            id: range(id),
            kind: header.kind.or(kind),
            subject: named.map(range),
            params: at,
            arguments,
            meta: params.meta.map(range),
            task: params.task.map(range),
            progress_token: meta.progress_token.map(range),
            log_level: meta.log_level.map(read_level),
            has_trace: meta
                .traceparent
                .is_some_and(|raw| is_plain_string(raw, header.traceparent.as_deref())),
            has_baggage: meta.baggage.is_some(),
            parent: None,
            cancel_reason: CancelReason::default(),
            name,
            header,
            message,
        })
    }

    /// Returns the JSON in a range of the message.
    pub(crate) fn json(&self, range: &Range<usize>) -> &[u8] {
        self.message.get(range.clone()).unwrap_or_default()
    }

    /// Returns the capabilities that the client declared, as JSON: with its session, or on this request. `None`: none that are known.
    pub(crate) fn declared_capabilities(&self) -> Option<&[u8]> {
        #[derive(Deserialize)]
        struct Declared<'a> {
            #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow, default)]
            capabilities: Option<&'a RawValue>,
        }
        if self.header.era == Era::Legacy {
            return self.header.client_capabilities.as_ref().map(|json| json.0.get().as_bytes());
        }
        let declared: Declared<'_> = serde_json::from_slice(self.json(self.meta.as_ref()?)).ok()?;
        declared.capabilities.map(|raw| raw.get().as_bytes())
    }

    /// Returns whether a modern client goes on with a state that a backend gave out.
    pub(crate) fn has_state(&self) -> bool {
        let header = &self.header;
        let is_there = header.state_label > 0 || header.request_state != RequestState::Absent;
        header.era == Era::Modern && self.kind != Some(Kind::Task) && is_there
    }

    /// Returns the backend's own id of the task that the request is about, where its client takes the status of it on the request's stream.
    pub(crate) fn watched_task(&self) -> Option<Box<str>> {
        (self.header.task_status && self.kind == Some(Kind::Task)).then(|| self.name.as_str().into())
    }

    /// Returns whether the answer may be a task: its client asks for one, or takes one (the extension of 2026-07-28).
    pub(crate) fn may_become_task(&self) -> bool {
        if self.header.method != "tools/call" {
            return false;
        }
        let meta = || self.meta.as_ref().map(|range| self.json(range)).unwrap_or_default();
        match self.header.era {
            Era::Legacy => self.task.is_some(),
            Era::Modern => may_name_tasks(meta()),
        }
    }

    /// Returns what the request names, as its client wrote it: JSON; empty where it names nothing.
    pub(crate) fn subject_json(&self) -> &[u8] {
        self.subject.as_ref().map(|range| self.json(range)).unwrap_or_default()
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

    #[test]
    fn ranges_point_at_the_members() {
        let message = r#"{"id" : "x","params":{"_meta":{"a":1,"progressToken": "t\n"},"name":"e\u0063ho","arguments":{"b":[1e400]}}}"#;
        let request = request(Era::Legacy, message);
        assert_eq!(request.name, "echo");
        assert_eq!(request.json(&request.id), br#""x""#);
        assert_eq!(request.json(request.subject.as_ref().unwrap()), br#""e\u0063ho""#);
        assert_eq!(request.json(request.arguments.as_ref().unwrap()), br#"{"b":[1e400]}"#);
        assert_eq!(request.token().unwrap(), r#""t\n""#);
        assert_eq!(request.log_level, None);
    }

    fn parse(method: &str, message: &'static str) -> Result<Request, Failure> {
        let header = CallHeader { method: method.into(), kind: None, ..header(Era::Modern) };
        Request::parse(header, Bytes::from_static(message.as_bytes()))
    }

    #[test]
    fn a_message_that_does_not_name_what_its_method_needs_is_refused() {
        for message in
            [r#"{"id":1}"#, r#"{"id":1,"params":{}}"#, r#"{"id":1,"params":{"name":3}}"#, "[", "\u{ff}"]
        {
            let Err(Failure::InvalidParams(text)) = parse("tools/call", message) else { panic!("{message}") };
            assert!(text.contains("\"name\"") && !text.contains("line 1"), "{text}");
        }
        for (method, message, wanted) in [
            ("prompts/get", r#"{"id":1,"params":{"uri":"a:b"}}"#, "\"name\""),
            ("resources/read", r#"{"id":1,"params":{"name":"a"}}"#, "\"uri\""),
            ("resources/read", r#"{"id":1,"params":["a:b"]}"#, "\"uri\""),
            ("completion/complete", r#"{"id":1,"params":{"ref":{"type":"ref/prompt"}}}"#, "\"ref\""),
            ("completion/complete", r#"{"id":1,"params":{"ref":3}}"#, "\"ref\""),
            ("tasks/get", r#"{"id":1,"params":{}}"#, "\"taskId\""),
            ("skills/list", r#"{"params":{}}"#, "\"id\""),
            ("skills/list", r#"{"id":1,"params":3}"#, "\"params\""),
        ] {
            let Err(Failure::InvalidParams(text)) = parse(method, message) else { panic!("{message}") };
            assert!(text.contains(wanted), "{method}: {text}");
        }
    }

    #[test]
    fn each_method_names_its_subject_in_its_own_place() {
        for (method, params, kind, name) in [
            ("prompts/get", r#"{"name":"p"}"#, Some(Kind::Prompt), "p"),
            ("resources/read", r#"{"uri":"a:b","name":"x"}"#, Some(Kind::Resource), "a:b"),
            ("resources/subscribe", r#"{"uri":"a:b"}"#, Some(Kind::Resource), "a:b"),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}"#,
                Some(Kind::Prompt),
                "p",
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/resource","uri":"a:{b}"}}"#,
                Some(Kind::Template),
                "a:{b}",
            ),
            ("tasks/get", r#"{"taskId":"t"}"#, Some(Kind::Task), "t"),
            ("skills/list", r#"{"name":"x"}"#, None, ""),
        ] {
            let message: &'static str = format!(r#"{{"id":1,"params":{params}}}"#).leak();
            let request = parse(method, message).unwrap();
            assert_eq!((request.kind, request.name.as_str()), (kind, name), "{method}");
            let subject = request.subject.as_ref().map(|range| request.json(range).to_vec());
            assert_eq!(subject, kind.map(|_| format!("{name:?}").into_bytes()), "{method}");
        }
        let bare = parse("skills/list", r#"{"id":1}"#).unwrap();
        assert_eq!((bare.params, bare.meta), (None, None));
    }

    #[test]
    fn the_name_in_the_header_wins_over_the_one_in_the_message() {
        let header = CallHeader { name: Some("echo".into()), ..header(Era::Legacy) };
        let request =
            Request::parse(header, Bytes::from_static(br#"{"id":1,"params":{"name":"one__echo"}}"#)).unwrap();
        assert_eq!(request.name, "echo");
    }

    #[test]
    fn a_large_message_is_read_as_a_small_one_is() {
        let shown = |members: Option<Members<'_>>| {
            members.map(|Members { id, at, params, arguments }| {
                let Params { name, uri, reference, task_id, arguments: _, task, meta } = params;
                let values =
                    [name, uri, reference, task_id, task, meta].map(|value| value.map(RawValue::get));
                (id.get().to_owned(), at, arguments, format!("{values:?}"))
            })
        };
        let bulk = format!(r#""bulk":"{}""#, "é".repeat(5000));
        for params in [
            r#"{"name":"a","arguments":{"b":[1e400]},"_meta":{"progressToken":1}}"#,
            r#"{"uri":"a:b","ref":{"type":"ref/prompt","name":"p"},"taskId":"t","task":null,"_meta":null}"#,
            r#"{"name":null,"arguments":null}"#,
            r#"{"n\u0061me":"a","arguments":1}"#,
            "null",
            "[]",
            "1",
        ] {
            for message in [
                format!(r#"{{"id":1,{bulk},"params":{params}}}"#),
                format!(r#"{{"params":{params},{bulk},"id":null}}"#),
                format!(r#"{{"params":{params},{bulk}}}"#),
                format!(r#"{{"id":1,"params":{params},{bulk},"params":{{}}}}"#),
            ] {
                let message = message.as_bytes();
                let members =
                    Outline::of(message, "params").and_then(|outline| Members::of_outline(&outline));
                let any = || Members::read(message);
                assert_eq!(shown(members.or_else(any)), shown(any()), "{}", &params);
            }
        }
        let usual = format!(r#"{{"id":1,"params":{{"name":"a","arguments":{{{bulk}}}}}}}"#);
        assert!(Members::of_outline(&Outline::of(usual.as_bytes(), "params").unwrap()).is_some());
    }
}
