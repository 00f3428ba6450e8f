//! The MCP methods: what is answered here and what becomes a call. Must not know HTTP.
//!
//! Everything that an issue to come serves (prompts, resources, completion, subscriptions, tasks) is method-not-found.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::envelope::{EnvelopeError, Params};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use serde_json::json;

use crate::answer::{Answer, Member, Segments, open_response, response};
use crate::calls::{CallContext, Calls};
use crate::edge::{Edge, server_info};
use crate::trace::Trace;

/// Characters of a name that a message of ours repeats.
const ECHO: usize = 128;

/// One request as it came.
pub(crate) struct Request<'a> {
    /// Its id, raw JSON.
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) params: &'a Params<'a>,
    /// The whole message.
    pub(crate) message: &'a Bytes,
}

/// How the one who asks speaks, and what came beside the message.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) era: Era,
    pub(crate) version: Version,
    /// Legacy: the session's key.
    pub(crate) session: Option<String>,
    /// Modern: decoded `Mcp-Param-*` headers by lower-case name without that prefix.
    pub(crate) param_headers: BTreeMap<String, String>,
    /// W3C trace context that came beside the message; what stands in the message goes before it.
    pub(crate) trace: Trace,
}

impl<C: Calls> Edge<C> {
    /// Answers one request. Whatever waits for a call waits in the stream.
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        caller: Caller,
        asker: CallContext<'_>,
    ) -> Answer<C::Stream> {
        match (request.method, caller.era) {
            ("tools/call", _) => self.forward(request, caller, asker),
            ("tools/list", era) => self.list_tools(request, era),
            ("initialize", Era::Legacy) => self.initialize(request),
            ("ping", Era::Legacy) => Answer::Message(empty_result(request.id)),
            ("server/discover", Era::Modern) => {
                Answer::Message(response(request.id.as_bytes(), Member::Result, self.discovery.clone()))
            }
            (method, _) => Answer::Refused(Failure::MethodNotFound(cut(method))),
        }
    }

    /// Takes a notification in. `session` is the key of the sender's session.
    pub(crate) fn notify(&self, method: &str, params: &Params<'_>, session: Option<&str>) {
        // Without a session the id alone would end other clients' requests: it is ignored, as the specification allows.
        if let ("notifications/cancelled", Some(session), Some(id)) = (method, session, params.request_id) {
            self.calls.cancel(session, id.get());
        }
    }

    fn forward(&self, request: &Request<'_>, caller: Caller, asker: CallContext<'_>) -> Answer<C::Stream> {
        let Some(name) = request.params.name.as_ref() else {
            return Answer::Refused(Failure::InvalidParams("params.name names no tool".into()));
        };
        let trace = Trace::resolve(request.params.meta.as_ref(), caller.trace);
        let mut header = CallHeader {
            method: request.method.to_owned(),
            name: Some(name.as_str().to_owned()),
            era: caller.era,
            version: caller.version,
            request_id: caller.session.is_some().then(|| request.id.to_owned()),
            session: caller.session,
            silence_timeout_ms: 0,
            total_timeout_ms: 0,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            baggage: trace.baggage,
            param_headers: caller.param_headers,
        };
        header.set_timeouts(self.config.request_timeout, self.config.request_timeout_total);
        Answer::Call(self.calls.call(header, request.message.clone(), asker))
    }

    fn list_tools(&self, request: &Request<'_>, era: Era) -> Answer<C::Stream> {
        if request.params.cursor.is_some() {
            return Answer::Refused(Failure::InvalidParams("unknown cursor: the list has one page".into()));
        }
        let listing = self.listing.borrow().clone();
        let tools = if listing.tools.is_empty() { Bytes::from_static(b"[]") } else { listing.tools.clone() };
        let mut head = Vec::with_capacity(96 + request.id.len());
        open_response(&mut head, request.id.as_bytes(), Member::Result);
        head.extend_from_slice(match era {
            Era::Legacy => br#"{"tools":"#,
            Era::Modern => br#"{"resultType":"complete","tools":"#,
        });
        let tail: &[u8] = match era {
            Era::Legacy => b"}}",
            Era::Modern => self.list_tail.as_bytes(),
        };
        Answer::Message(Segments::joined(head, tools, tail))
    }

    fn initialize(&self, request: &Request<'_>) -> Answer<C::Stream> {
        let Some(asked) = request.params.protocol_version.as_ref() else {
            return Answer::Refused(Failure::InvalidParams("params.protocolVersion is missing".into()));
        };
        // 2025-11-25, Lifecycle, "Version Negotiation": the version asked for, else our newest that has a handshake.
        let version = Version::parse(asked.as_str())
            .filter(|version| version.era() == Era::Legacy)
            .unwrap_or(Version::NEWEST_LEGACY);
        let result = json!({
            "protocolVersion": version.as_str(),
            "capabilities": { "tools": { "listChanged": true } },
            "serverInfo": server_info(&self.config),
        });
        let message = response(request.id.as_bytes(), Member::Result, result.to_string().into());
        Answer::Initialized(version, message)
    }
}

/// `{}`: what `ping` is answered with.
pub(crate) fn empty_result(id: &str) -> Segments {
    response(id.as_bytes(), Member::Result, Bytes::from_static(b"{}"))
}

/// Why bytes are not a message, and the id of the request they were meant to be, raw JSON, where it could be read.
pub(crate) fn unreadable(error: EnvelopeError) -> (Option<Box<str>>, Failure) {
    match error {
        EnvelopeError::NotJson(reason) => (None, Failure::NotJson(reason)),
        EnvelopeError::NotJsonRpc(reason) => (None, Failure::InvalidRequest(reason.into())),
        EnvelopeError::BadParams { id, reason } => (id.map(Into::into), Failure::InvalidParams(reason)),
    }
}

/// The client's own text, short enough to be repeated in a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(ECHO).collect()
}

/// The methods that a label may name; everything else is `other`.
pub(crate) fn label(method: &str) -> &'static str {
    const KNOWN: [&str; 20] = [
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "tasks/get",
        "tasks/cancel",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/roots/list_changed",
    ];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}
