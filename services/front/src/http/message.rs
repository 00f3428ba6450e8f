//! JSON-RPC messages of an authenticated client: parsing, and an answer by the kind of message. Must not know how a
//! message arrived.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallPlace;
use protocol::mcp::apps::APPS;
use protocol::mcp::envelope::{EnvelopeError, Message, Params, parse};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::{self, Failure};
use protocol::mcp::members::ExactMembers;
use protocol::mcp::method::{AnsweredBy, Method, Subject};

use super::accept::Accept;
use super::call_response::{ResponseOptions, call_response};
use super::context::{Handled, HandlerResult, RequestContext};
use super::event_ids::{EventIds, Holder};
use super::framing::Framing;
use super::response::{Refusal, SESSION_ID, empty, events, json};
use super::response_body::ResponseBody;
use super::response_stream::Entry;
use super::{audit, batch, era, subscription};
use crate::calls::Calls;
use crate::edge::unix_now;
use crate::jsonrpc::Segments;
use crate::method::{Answer, Caller, Request, envelope_failure, method_label};
use crate::session::{MAX_CAPABILITIES, Session};
use crate::trace::RequestSpan;
use serde_json::value::RawValue;

/// Longest request id, in bytes of JSON: ids travel in call headers.
pub(super) const MAX_ID_BYTES: usize = 1024;

/// State of a request after everything that happens without waiting.
enum Begun<S> {
    /// Complete response. Boxed, since most requests become calls.
    Answered(Box<Response<ResponseBody<S>>>),
    /// Call of a client that speaks this version.
    Call { version: Version, stream: S, ids: Option<Box<EventIds>> },
}

/// Handles one message. A call is counted by the implementation of [`Calls`], everything else by the edge.
pub(crate) async fn handle<C: Calls>(
    context: &RequestContext<'_, C>,
    message: &Bytes,
    accept: Accept,
) -> Handled<C::Stream> {
    match parse(message) {
        Ok(Message::Request { id, method, params }) => {
            let (id, method) = (id.get(), method.as_str());
            on_request(context, Request { id, method, params: &params, message }, accept).await
        }
        Ok(Message::Notification { method, params }) => {
            let method = method.as_str();
            Handled::by_edge(method_label(method), on_notification(context, method, &params, message))
        }
        Ok(Message::Response { id }) => Handled::by_edge("response", on_response(context, id, message).await),
        Err(EnvelopeError::NotJsonRpc(_)) if batch::is_batch(message) => Handled::by_edge(
            "batch",
            match audit::begin_call(context, "").await {
                Ok(()) => batch::handle(context, message, accept),
                Err(failure) => Err(context.refusal(failure)),
            },
        ),
        Err(error) => {
            let (id, failure) = envelope_failure(error);
            Handled::by_edge("invalid", Err(Refusal { id, ..context.refusal(failure) }))
        }
    }
}

async fn on_request<C: Calls>(
    context: &RequestContext<'_, C>,
    request: Request<'_>,
    accept: Accept,
) -> Handled<C::Stream> {
    let era = era::era_of(context.headers, request.method, request.params);
    let begun = match write_down(context, &request).await {
        Ok(()) => begin(context, &request, era, accept),
        Err(failure) => Err(failure),
    };
    match begun {
        Ok(Begun::Answered(response)) => Handled::by_edge(method_label(request.method), Ok(*response)),
        Ok(Begun::Call { version, stream, ids }) => {
            let options = ResponseOptions {
                accept,
                version,
                id: request.id.into(),
                keepalive: context.edge.config.keepalive,
                sse_after: context.edge.config.sse_after,
                ids: ids.map(|ids| *ids),
            };
            let response = call_response(stream, options).await;
            Handled::by_calls(response.map_err(|failed| Refusal {
                failure: failed.failure,
                era,
                id: Some(failed.id),
            }))
        }
        Err(failure) => {
            let id = (request.id.len() <= MAX_ID_BYTES).then(|| request.id.into());
            Handled::by_edge(method_label(request.method), Err(Refusal { failure, era, id }))
        }
    }
}

/// Writes down a request that becomes a call, where calls must be.
pub(super) async fn write_down<C: Calls>(
    context: &RequestContext<'_, C>,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let subject = match Method::find(request.method) {
        Some(Method { answered_by: AnsweredBy::Edge, .. }) => return Ok(()),
        Some(method) => method.subject,
        None => Subject::Nothing,
    };
    let named = request.params.subject(subject).map_or(request.method, |(_, name)| name.as_str());
    audit::begin_call(context, named).await
}

/// Begins a request, and records the span of one that becomes no call.
fn begin<C: Calls>(
    context: &RequestContext<'_, C>,
    request: &Request<'_>,
    era: Era,
    accept: Accept,
) -> Result<Begun<C::Stream>, Failure> {
    let mut span = RequestSpan::start("http");
    let begun = answer(context, request, era, accept, &mut span);
    if !matches!(begun, Ok(Begun::Call { .. })) {
        let id = (request.id.len() <= MAX_ID_BYTES).then_some(request.id);
        let meta = request.params.meta.as_ref();
        span.finish(request.method, id, meta, context.call_context(), begun.as_ref().err());
    }
    begun
}

fn answer<C: Calls>(
    context: &RequestContext<'_, C>,
    request: &Request<'_>,
    era: Era,
    accept: Accept,
    span: &mut RequestSpan,
) -> Result<Begun<C::Stream>, Failure> {
    if request.id.len() > MAX_ID_BYTES {
        return Err(Failure::InvalidRequest(format!("\"id\" is longer than {MAX_ID_BYTES} bytes")));
    }
    let mut caller = era::caller(context, era, request.method, request.params)?;
    let ids = event_ids(context, request, accept, &mut caller);
    span.set_caller(&caller);
    let version = caller.version;
    if (request.method, caller.era) == ("subscriptions/listen", Era::Modern) {
        let stream = subscription::open(context, request, &caller, accept)?;
        return Ok(Begun::Answered(Box::new(events(ResponseBody::Listen(stream)))));
    }
    let response = match context.edge.answer(request, caller, context.call_context())? {
        Answer::Call(stream) => return Ok(Begun::Call { version, stream, ids: ids.map(Box::new) }),
        Answer::Response(message) => message_response(message, accept, context.edge.config.keepalive),
        Answer::Initialized { version, response } => {
            let capabilities = request.params.capabilities.and_then(declared);
            let session = NewSession { version, capabilities: capabilities.as_deref() };
            initialize_response(context, &session, response, accept, span)?
        }
    };
    Ok(Begun::Answered(Box::new(response)))
}

/// Session that begins.
struct NewSession<'a> {
    version: Version,
    /// Capabilities of the client, as its token carries them.
    capabilities: Option<&'a str>,
}

/// Returns the capabilities that a client declares as a session's token carries them: those that a server can ask for, and user interfaces,
/// where all are too long. `None`: the client has none.
pub(super) fn declared(capabilities: &RawValue) -> Option<String> {
    const ASKABLE: [&str; 3] = ["elicitation", "roots", "sampling"];
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(capabilities.get()).ok()?;
    if members.is_empty() {
        return None;
    }
    let all = capabilities.get();
    if all.len() <= MAX_CAPABILITIES {
        return Some(all.to_owned());
    }
    let named = ASKABLE.iter().filter_map(|name| Some((*name, *members.get(*name)?)));
    let short =
        |value: &RawValue| if value.get().len() <= 128 { value.get().to_owned() } else { "{}".to_owned() };
    let mut named: Vec<String> = named.map(|(name, value)| format!(r#""{name}":{}"#, short(value))).collect();
    let apps = members.get("extensions").and_then(|all| ExactMembers::of(all).get(APPS.as_bytes()));
    named.extend(apps.map(|apps| format!(r#""extensions":{{"{APPS}":{}}}"#, short(apps))));
    Some(format!("{{{}}}", named.join(",")))
}

/// Returns the ids of the events of a call, of a client that may come back to it: one of 2025-11-25 with a session. Earlier versions know
/// no event without a message, and have no way to tell a stream that broke from one that ended.
fn event_ids<C>(
    context: &RequestContext<'_, C>,
    request: &Request<'_>,
    accept: Accept,
    caller: &mut Caller,
) -> Option<EventIds> {
    if accept == Accept::Json || caller.version != Version::V2025_11_25 {
        return None;
    }
    let session = Session::id_of(caller.session.as_deref()?)?;
    let sealer = Arc::clone(&context.edge.sealer);
    let holder = Holder { sealer, principal: context.principal, session };
    let place = CallPlace::default();
    let token = request.params.meta.as_ref().and_then(|meta| meta.progress_token);
    let subject = Method::find(request.method).map_or(Subject::Nothing, |method| method.subject);
    let named = request.params.subject(subject).map(|(kind, name)| (kind, name.as_str()));
    let ids = EventIds::new(holder, place.clone(), request.id, token).map(|ids| ids.naming(named));
    caller.place = ids.is_some().then_some(place);
    ids
}

/// Builds the response to `initialize`, with the token of a new session.
fn initialize_response<C: Calls>(
    context: &RequestContext<'_, C>,
    session: &NewSession<'_>,
    message: Segments,
    accept: Accept,
    span: &mut RequestSpan,
) -> Result<Response<ResponseBody<C::Stream>>, Failure> {
    let NewSession { version, capabilities } = *session;
    let (sealer, principal) = (&context.edge.sealer, &context.principal);
    let token = sealer.issue(version, capabilities, principal, unix_now()).ok_or(Failure::Internal)?;
    span.set_session(version, || Some(sealer.open(token.as_bytes(), principal, unix_now())?.key()));
    let token = HeaderValue::try_from(token).map_err(|_| Failure::Internal)?;
    let mut response = message_response(message, accept, context.edge.config.keepalive);
    response.headers_mut().insert(SESSION_ID, token);
    Ok(response)
}

fn on_notification<C: Calls>(
    context: &RequestContext<'_, C>,
    method: &str,
    params: &Params<'_>,
    message: &Bytes,
) -> HandlerResult<C::Stream> {
    let mut span = RequestSpan::start("http");
    let era = era::era_of(context.headers, method, params);
    let sender = era::notification_sender(context, era);
    if let Ok(Some(caller)) = &sender {
        span.set_caller(caller);
        context.edge.on_notification(method, params, caller.session.as_deref(), message);
    }
    let failure = sender.as_ref().err();
    span.finish(method, None, params.meta.as_ref(), context.call_context(), failure);
    match sender {
        Ok(_) => Ok(empty(StatusCode::ACCEPTED)),
        Err(failure) => Err(Refusal { failure, era, id: None }),
    }
}

/// Answers a client's response to a request of a backend.
async fn on_response<C: Calls>(
    context: &RequestContext<'_, C>,
    id: &RawValue,
    message: &Bytes,
) -> HandlerResult<C::Stream> {
    let refused = |failure| context.refusal(failure);
    let caller = era::response_sender(context).map_err(refused)?;
    deliver_reply(context, id, message, caller).await.map_err(refused)?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Passes a client's response on to the backend that asked, and waits until it is there. One with an id that no server of ours gives out
/// is dropped.
pub(super) async fn deliver_reply<C: Calls>(
    context: &RequestContext<'_, C>,
    id: &RawValue,
    message: &Bytes,
    caller: Caller,
) -> Result<(), Failure> {
    if !id.get().starts_with('"') {
        return Ok(());
    }
    reply_outcome(context.edge.reply(id, message, caller, context.call_context())).await
}

/// Waits until a response has reached the backend.
async fn reply_outcome<S>(mut stream: S) -> Result<(), Failure>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    loop {
        match stream.next().await {
            Some(ResponseEvent::End { error: false, .. }) => return Ok(()),
            Some(ResponseEvent::End { payload, .. }) => {
                let why = failure::message_in(&payload).unwrap_or_default();
                let why = why.strip_prefix("Invalid request: ").unwrap_or(&why);
                return Err(Failure::InvalidRequest(why.to_owned()));
            }
            Some(ResponseEvent::Failed(failure)) => return Err(failure),
            Some(ResponseEvent::Event { .. }) => {}
            None => return Err(Failure::Internal),
        }
    }
}

/// Builds the HTTP response of a complete message, in a form that the client accepts.
fn message_response<S>(message: Segments, accept: Accept, keepalive: Duration) -> Response<ResponseBody<S>>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    match accept {
        Accept::Json | Accept::JsonOrEvents => json(StatusCode::OK, message),
        Accept::EventsOrJson | Accept::EventsOnly => {
            events(ResponseBody::stream(Framing::events(keepalive), [Entry::Ready(message)].into()))
        }
    }
}
