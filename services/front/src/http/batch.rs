//! Batches of JSON-RPC messages (2025-03-26, Transports, "Sending Messages to the Server").
//!
//! Calls of a batch begin together and are answered in order: as events where the client accepts them, so that
//! notifications of progress are not lost, else as a JSON array. Must not know how single messages are answered.

use std::collections::VecDeque;

use axum::http::StatusCode;
use bytes::Bytes;
use protocol::mcp::envelope::{Message, parse};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::value::RawValue;

use super::accept::Accept;
use super::context::{HandlerResult, RequestContext};
use super::era;
use super::framing::Framing;
use super::response::{empty, events, json_stream};
use super::response_body::ResponseBody;
use super::response_stream::Entry;
use crate::calls::Calls;
use crate::jsonrpc::error_response;
use crate::method::{Answer, Caller, Request, envelope_failure};
use crate::trace::RequestSpan;

/// Most messages of one batch.
const MAX_MESSAGES: usize = 100;

/// Whether a body that is not one message is a JSON array.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Handles a batch: answers each of its requests.
pub(crate) fn handle<C: Calls>(
    context: &RequestContext<'_, C>,
    body: &Bytes,
    accept: Accept,
) -> HandlerResult<C::Stream> {
    let caller = era::batch_sender(context).map_err(|failure| context.refusal(failure))?;
    let messages: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| context.refusal(Failure::NotJson(error.to_string())))?;
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let reason = format!("a batch has 1 to {MAX_MESSAGES} messages");
        return Err(context.refusal(Failure::InvalidRequest(reason)));
    }
    let queue: VecDeque<_> = messages
        .iter()
        .filter_map(|message| entry(context, &caller, &body.slice_ref(message.get().as_bytes())))
        .collect();
    if queue.is_empty() {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    Ok(match accept {
        Accept::Json => {
            json_stream(StatusCode::OK, ResponseBody::stream(Framing::JsonArray { begun: 0 }, queue))
        }
        Accept::JsonOrEvents | Accept::EventsOrJson | Accept::EventsOnly => {
            events(ResponseBody::stream(Framing::events(context.edge.config.keepalive), queue))
        }
    })
}

/// Returns the answer to one message of a batch; `None` for notifications and responses.
fn entry<C: Calls>(
    context: &RequestContext<'_, C>,
    caller: &Caller,
    message: &Bytes,
) -> Option<Entry<C::Stream>> {
    match parse(message) {
        Ok(Message::Request { id, method, params }) => {
            let request = Request { id: id.get(), method: method.as_str(), params: &params, message };
            Some(request_entry(context, caller, &request))
        }
        Ok(Message::Notification { method, params }) => {
            let mut span = RequestSpan::start("http");
            span.set_caller(caller);
            context.edge.on_notification(method.as_str(), &params, caller.session.as_deref(), message);
            span.finish(method.as_str(), None, params.meta.as_ref(), context.call_context(), None);
            None
        }
        Ok(Message::Response { .. }) => None,
        Err(error) => {
            let (id, failure) = envelope_failure(error);
            Some(Entry::Ready(error_response(id.as_deref().map(str::as_bytes), &failure, Era::Legacy)))
        }
    }
}

/// Answers one request of a batch, and records the span of one that becomes no call.
fn request_entry<C: Calls>(
    context: &RequestContext<'_, C>,
    caller: &Caller,
    request: &Request<'_>,
) -> Entry<C::Stream> {
    let mut span = RequestSpan::start("http");
    span.set_caller(caller);
    let answer = if request.method == "initialize" {
        Err(Failure::InvalidRequest("initialize must not be in a batch".into()))
    } else {
        context.edge.answer(request, caller.clone(), context.call_context())
    };
    let response = match answer {
        Ok(Answer::Call(stream)) => {
            let (id, era) = (request.id.into(), caller.era);
            return Entry::Call { id, era, first: None, arrived: VecDeque::new(), stream };
        }
        Ok(Answer::Response(response) | Answer::Initialized { response, .. }) => Ok(response),
        Err(failure) => Err(failure),
    };
    let meta = request.params.meta.as_ref();
    let failure = response.as_ref().err();
    span.finish(request.method, Some(request.id), meta, context.call_context(), failure);
    Entry::Ready(
        response.unwrap_or_else(|failure| error_response(Some(request.id.as_bytes()), &failure, Era::Legacy)),
    )
}
