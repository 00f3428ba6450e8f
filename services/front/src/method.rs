//! The MCP methods of both eras: which of them the edge answers itself and which become calls. Must not know HTTP.
//!
//! A method that the specifications do not name becomes a call: a backend may have it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::link::header::{CallHeader, CallPlace, Purpose, RawJson};
use protocol::mcp::catalog::ListKind;
use protocol::mcp::entry_array::{MAX_PAGE, Page};
use protocol::mcp::envelope::{EnvelopeError, Params, Text};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::method::{AnsweredBy, Method, Subject};
use protocol::mcp::request_state::RequestState;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::calls::{CallContext, Calls, Listing};
use crate::edge::{Edge, cache_scope, server_info};
use crate::introduction::Introduction;
use crate::jsonrpc::{Member, Segments, open_response, response};
use crate::metrics::record_introduction;
use crate::trace::Trace;

/// Most characters of a client's text that an error message repeats.
const MAX_ECHOED_CHARS: usize = 128;

/// Longest notification of a client that is passed on, in bytes (docs/PROTOCOL.md, "Call header and session facts").
const MAX_NOTIFICATION: usize = 16_384;

/// Most characters of the reason of a cancellation that are passed on (docs/PROTOCOL.md, "Call header and session facts").
const MAX_CANCEL_REASON: usize = 1024;

/// The version of the existing server, whatever its clients ask for.
const EXISTING_VERSION: Version = Version::V2025_06_18;

/// JSON-RPC request of a client.
pub(crate) struct Request<'a> {
    /// Id, as raw JSON.
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) params: &'a Params<'a>,
    /// The whole message.
    pub(crate) message: &'a Bytes,
}

/// Sender of a message: the protocol that it speaks, its session, and metadata from outside the message.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) era: Era,
    pub(crate) version: Version,
    /// Key of the session. Legacy only.
    pub(crate) session: Option<String>,
    /// Capabilities that the client of the session declared, a JSON object.
    pub(crate) capabilities: Option<Arc<str>>,
    /// Told where its call runs, of a client that may come back to it.
    pub(crate) place: Option<CallPlace>,
    /// Decoded `Mcp-Param-*` headers, by lower-case name without that prefix. Modern only.
    pub(crate) param_headers: BTreeMap<String, String>,
    /// W3C trace context of the HTTP headers. The message's own context takes precedence.
    pub(crate) trace: Trace,
}

/// Result of a request that is not refused.
pub(crate) enum Answer<S> {
    /// Complete response.
    Response(Segments),
    /// Response to `initialize`, with the version agreed on.
    Initialized { version: Version, response: Segments },
    /// Events of a call.
    Call(S),
}

impl<C: Calls> Edge<C> {
    /// Answers one request, without waiting: a call is waited for in its stream.
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        caller: Caller,
        context: CallContext<'_>,
    ) -> Result<Answer<C::Stream>, Failure> {
        let era = caller.era;
        let (subject, answered_by) = match Method::find(request.method) {
            Some(method) if !method.is_for(era) => return Err(not_found(request.method)),
            Some(method) => (method.subject, method.answered_by),
            None => (Subject::Nothing, AnsweredBy::Backend),
        };
        if answered_by == AnsweredBy::Backend {
            return self.begin_call(request, subject, caller, context).map(Answer::Call);
        }
        if caller.era == Era::Modern && matches!(request.method, "server/discover" | "tools/list") {
            record_introduction(request.message, caller.version);
        }
        if let Some(kind) = ListKind::ALL.into_iter().find(|kind| kind.method() == request.method) {
            return self.list(request, kind, era, &context).map(Answer::Response);
        }
        match request.method {
            "initialize" => Ok(self.initialize(request, &context)),
            "logging/setLevel" => self.set_log_level(request, caller.session.as_deref()),
            "ping" => Ok(Answer::Response(empty_result(request.id))),
            "server/discover" => Ok(Answer::Response(self.discover(request, &context))),
            method => Err(not_found(method)),
        }
    }

    /// Sets the level of log messages of a session (2025-11-25, Logging, "Setting Log Level").
    fn set_log_level(
        &self,
        request: &Request<'_>,
        session: Option<&str>,
    ) -> Result<Answer<C::Stream>, Failure> {
        let name = request.params.level.and_then(|level| serde_json::from_str::<Text<'_>>(level.get()).ok());
        let level = name.as_ref().and_then(|name| LogLevel::parse(name.as_str())).ok_or_else(|| {
            let known = LogLevel::ALL.map(LogLevel::as_str).join(", ");
            Failure::InvalidParams(format!("params.level must be one of {known}"))
        })?;
        let session = session.ok_or_else(|| {
            Failure::InvalidRequest("a level is kept for a session: send Mcp-Session-Id".into())
        })?;
        self.log_levels.lock().set(session, level);
        self.calls.set_log_level(session, level);
        Ok(Answer::Response(empty_result(request.id)))
    }

    /// Handles a notification. `session` is the key of the sender's session.
    pub(crate) fn on_notification(
        &self,
        method: &str,
        params: &Params<'_>,
        session: Option<&str>,
        message: &Bytes,
    ) {
        // Request ids are unique within a session only: without a session the id could name another client's request.
        // Such a cancellation is ignored, as the specification allows.
        let Some(session) = session else { return };
        match method {
            "notifications/cancelled" => {
                if let Some(id) = params.request_id {
                    self.calls.cancel(session, id.get(), cancel_reason(message).as_deref());
                }
            }
            // The handshake is the relay's own.
            "notifications/initialized" => {}
            _ if message.len() <= MAX_NOTIFICATION => self.calls.notify(session, message),
            _ => {}
        }
    }

    fn begin_call(
        &self,
        request: &Request<'_>,
        subject: Subject,
        caller: Caller,
        context: CallContext<'_>,
    ) -> Result<C::Stream, Failure> {
        if request.method == "tasks/list" && context.client_is_address(caller.session.as_deref()) {
            // Several clients may have one address, and a list needs no id that only one of them knows.
            let text = "tasks are listed for a session: send Mcp-Session-Id";
            return Err(Failure::InvalidRequest(text.into()));
        }
        let named = request.params.subject(subject);
        if named.is_none() && subject != Subject::Nothing {
            return Err(Failure::InvalidParams(unnamed(subject).into()));
        }
        let request_state = match caller.era {
            // The id of a task finds its slave as a state does.
            _ if subject == Subject::Task => {
                Ok(named.map_or(RequestState::Absent, |(_, id)| RequestState::of_text(id.as_str())))
            }
            Era::Modern => RequestState::of(request.params.request_state),
            Era::Legacy => Ok(RequestState::Absent),
        };
        let request_state = request_state.map_err(|error| Failure::InvalidParams(error.to_string()))?;
        let trace = Trace::resolve(request.params.meta.as_ref(), caller.trace);
        let mut header = CallHeader {
            name: named.map(|(_, name)| name.as_str().to_owned()),
            kind: named.map(|(kind, _)| kind),
            request_id: caller.session.is_some().then(|| request.id.to_owned()),
            request_state,
            log_level: caller.session.as_deref().and_then(|session| self.log_levels.lock().get(session)),
            session: caller.session,
            resumable: caller.place.is_some(),
            place: caller.place,
            task_status: subject == Subject::Task && caller.era == Era::Legacy,
            client_capabilities: caller.capabilities.as_deref().and_then(raw_json),
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            baggage: trace.baggage,
            param_headers: caller.param_headers,
            ..CallHeader::new(request.method, caller.era, caller.version)
        };
        header.set_timeouts(self.config.request_timeout, self.config.request_timeout_total);
        Ok(self.calls.call(header, request.message.clone(), context))
    }

    /// Begins the delivery of a client's response to a request of a backend. `id` is the response's, a JSON string.
    pub(crate) fn reply(
        &self,
        id: &RawValue,
        message: &Bytes,
        caller: Caller,
        context: CallContext<'_>,
    ) -> C::Stream {
        let mut header = CallHeader {
            purpose: Purpose::Reply,
            request_state: RequestState::of(Some(id)).unwrap_or_default(),
            session: caller.session,
            traceparent: caller.trace.traceparent,
            tracestate: caller.trace.tracestate,
            ..CallHeader::new("reply", caller.era, caller.version)
        };
        header.set_timeouts(self.config.request_timeout, self.config.request_timeout_total);
        self.calls.call(header, message.clone(), context)
    }

    /// Returns what a client may see of the current lists.
    fn view(&self, context: &CallContext<'_>) -> Arc<Listing> {
        let listing = self.listing.borrow().clone();
        listing.view(&context.requester())
    }

    /// Answers a list method with one page.
    fn list(
        &self,
        request: &Request<'_>,
        kind: ListKind,
        era: Era,
        context: &CallContext<'_>,
    ) -> Result<Segments, Failure> {
        let listing = self.view(context);
        let list = listing.list(kind);
        let cursor = request.params.cursor.as_ref().map(Text::as_str);
        let page = list.entries.page(cursor, MAX_PAGE);
        let Page { json, next } = page.map_err(|error| Failure::InvalidParams(error.to_string()))?;
        let mut head = Vec::with_capacity(128 + request.id.len());
        open_response(&mut head, request.id.as_bytes(), Member::Result);
        head.extend_from_slice(match era {
            Era::Legacy => b"{",
            Era::Modern => br#"{"resultType":"complete","#,
        });
        head.extend_from_slice(format!(r#""{}":"#, kind.name()).as_bytes());
        let mut tail = next.map(|next| format!(r#","nextCursor":"{next}""#)).unwrap_or_default();
        if era == Era::Modern {
            let ttl = listing.ttl_ms(kind, self.list_ttl_ms, Instant::now());
            // A shared cache must not serve lists to clients without a key where keys are required.
            let scope =
                cache_scope(list.hints.private || listing.is_personal || self.config.keys.is_required());
            let _ = write!(tail, r#","ttlMs":{ttl},"cacheScope":"{scope}""#);
        }
        let mut meta = listing.introduction.list_meta(kind);
        if era == Era::Modern {
            meta.push(self.identity.clone());
        }
        if !meta.is_empty() {
            let _ = write!(tail, r#","_meta":{{{}}}"#, meta.join(","));
        }
        tail.push_str("}}");
        Ok(Segments::joined(head, json, tail.as_bytes()))
    }

    /// Answers `server/discover` (2026-07-28, "Discovery").
    fn discover(&self, request: &Request<'_>, context: &CallContext<'_>) -> Segments {
        let listing = self.view(context);
        // A backend that has not run yet, of which nothing is known, says so in all its lists.
        let is_missing = ListKind::ALL.iter().all(|kind| listing.list(*kind).hints.ttl_ms == Some(0));
        let ttl = if listing.is_settled(Instant::now()) && !is_missing { self.list_ttl_ms } else { 0 };
        let scope = cache_scope(listing.is_personal || self.config.keys.is_required());
        let introduction = &listing.introduction;
        let instructions = instructions(introduction);
        let result = format!(
            r#"{{"resultType":"complete","supportedVersions":{},"capabilities":{}{instructions},"ttlMs":{ttl},"cacheScope":"{scope}","_meta":{{{}}}}}"#,
            json!(Version::ALL.map(Version::as_str)),
            introduction.capabilities(Era::Modern),
            self.identity,
        );
        response(request.id.as_bytes(), Member::Result, result.into())
    }

    fn initialize(&self, request: &Request<'_>, context: &CallContext<'_>) -> Answer<C::Stream> {
        // 2025-11-25, Lifecycle, "Version Negotiation": the requested version, else the newest with a handshake. A client of the
        // existing server that asks for none gets that server's.
        let version = request.params.protocol_version.as_ref().map_or(EXISTING_VERSION, |requested| {
            Version::parse(requested.as_str())
                .filter(|version| version.era() == Era::Legacy)
                .unwrap_or(Version::NEWEST_LEGACY)
        });
        record_introduction(request.message, version);
        let listing = self.view(context);
        let introduction = &listing.introduction;
        let result = format!(
            r#"{{"protocolVersion":"{}","capabilities":{},"serverInfo":{}{}}}"#,
            version.as_str(),
            introduction.capabilities(Era::Legacy),
            server_info(&self.config),
            instructions(introduction),
        );
        let response = response(request.id.as_bytes(), Member::Result, result.into());
        Answer::Initialized { version, response }
    }
}

/// Returns the reason that a `notifications/cancelled` gives, cut at its longest; `None` where it gives none as text.
fn cancel_reason(message: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Notification {
        params: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        reason: String,
    }
    let Notification { params: Reason { reason } } = serde_json::from_slice(message).ok()?;
    Some(reason.chars().take(MAX_CANCEL_REASON).collect())
}

/// Returns the member with the instructions, with a comma in front; nothing where there are none.
fn instructions(introduction: &Introduction) -> String {
    let text = introduction.instructions();
    text.map(|text| format!(r#","instructions":{}"#, serde_json::Value::from(text))).unwrap_or_default()
}

fn not_found(method: &str) -> Failure {
    Failure::MethodNotFound(truncate(method))
}

/// Returns what a request lacks that names no subject.
fn unnamed(subject: Subject) -> &'static str {
    match subject {
        Subject::Name(Kind::Tool) => "params.name names no tool",
        Subject::Name(_) => "params.name names no prompt",
        Subject::Uri => "params.uri names no resource",
        Subject::Reference => "params.ref names no prompt and no resource",
        Subject::Task => "params.taskId names no task",
        Subject::Nothing => "params names nothing",
    }
}

/// Returns JSON as a header carries it; `None` for what is none.
fn raw_json(text: &str) -> Option<RawJson> {
    RawValue::from_string(text.to_owned()).ok().map(RawJson)
}

/// Builds a response whose result is `{}`, as for `ping`.
pub(crate) fn empty_result(id: &str) -> Segments {
    response(id.as_bytes(), Member::Result, Bytes::from_static(b"{}"))
}

/// Returns the failure for bytes that are not a message, with the id of the request, as raw JSON, where it could be
/// read.
pub(crate) fn envelope_failure(error: EnvelopeError) -> (Option<Box<str>>, Failure) {
    match error {
        EnvelopeError::NotJson(reason) => (None, Failure::NotJson(reason)),
        EnvelopeError::NotJsonRpc(reason) => (None, Failure::InvalidRequest(reason.into())),
        EnvelopeError::BadParams { id, reason } => (id.map(Into::into), Failure::InvalidParams(reason)),
    }
}

/// Returns the first characters of a client's text, short enough for an error message.
pub(crate) fn truncate(text: &str) -> String {
    text.chars().take(MAX_ECHOED_CHARS).collect()
}

/// Notifications of clients that the specifications name.
const NOTIFICATIONS: [&str; 4] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// Returns a method as a label of metrics and spans; `other` for methods that the specifications do not name.
pub(crate) fn method_label(method: &str) -> &'static str {
    NOTIFICATIONS.into_iter().find(|known| *known == method).unwrap_or_else(|| Method::label(method))
}
