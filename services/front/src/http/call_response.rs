//! The HTTP response to one call: headers wait for the first event, which decides the framing. Must not know requests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use axum::http::{Response, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;
use tokio::time::timeout;

use super::accept::Accept;
use super::cancelled::is_unanswered;
use super::era::backend_status;
use super::event_ids::EventIds;
use super::framing::Framing;
use super::response::{empty, events, json, json_stream};
use super::response_body::ResponseBody;
use super::response_stream::Entry;
use crate::jsonrpc::{Member, response, response_of_pieces};

/// Bytes of a result in pieces that are taken before its response begins.
const MAX_COLLECTED: usize = 256 * 1024;

/// Properties of a request that decide the form of its response.
pub(crate) struct ResponseOptions {
    pub(crate) accept: Accept,
    /// Version that the client speaks.
    pub(crate) version: Version,
    /// Id of the request, as raw JSON.
    pub(crate) id: Box<str>,
    /// Silence after which a stream of events sends a comment.
    pub(crate) keepalive: Duration,
    /// Silence after which the stream of events opens.
    pub(crate) sse_after: Duration,
    /// Ids of the events, where the client may come back to the call.
    pub(crate) ids: Option<EventIds>,
}

/// Call that failed before anything of its response was sent.
pub(crate) struct CallFailed {
    /// Id of the request, as raw JSON.
    pub(crate) id: Box<str>,
    pub(crate) failure: Failure,
}

/// Waits for the first event of a call and builds the response around it.
///
/// A lone result becomes JSON with its status, unless the client would rather have events; anything else becomes a stream of events. So does a call that is silent
/// for a time (`SSE_AFTER_MS`): load balancers take a connection without response headers for dead. Dropping the future
/// drops the call's stream.
pub(crate) async fn call_response<S>(
    mut stream: S,
    options: ResponseOptions,
) -> Result<Response<ResponseBody<S>>, CallFailed>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    let ResponseOptions { accept, version, id, keepalive, sse_after, ids } = options;
    if matches!(accept, Accept::EventsOrJson | Accept::EventsOnly) {
        note_use(ids.as_ref());
    }
    let first = match accept {
        Accept::Json => Some(first_of_end(&mut stream).await),
        Accept::JsonOrEvents | Accept::EventsOrJson => timeout(sse_after, next_event(&mut stream)).await.ok(),
        Accept::EventsOnly => None,
    };
    if first.as_ref().is_some_and(|end| is_unanswered(version.era(), end)) {
        return Ok(no_response(accept, keepalive));
    }
    let is_stream = match &first {
        Some(ResponseEvent::End { error, .. }) => accept == Accept::EventsOrJson && !error,
        Some(ResponseEvent::Failed(_)) => false,
        Some(ResponseEvent::Event { .. }) | None => true,
    };
    match first {
        Some(first) if !is_stream => plain_response(first, stream, id, version).await,
        first => {
            note_use(ids.as_ref());
            let entry = Entry::Call { id, era: version.era(), first, arrived: VecDeque::new(), stream };
            let mut body = ResponseBody::stream(Framing::events(keepalive), VecDeque::from([entry]));
            body.number(ids);
            Ok(events(body))
        }
    }
}

/// Builds the response of a call whose end comes without an event before it.
async fn plain_response<S>(
    first: ResponseEvent,
    stream: S,
    id: Box<str>,
    version: Version,
) -> Result<Response<ResponseBody<S>>, CallFailed>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    match first {
        ResponseEvent::End { more: false, error, status, payload, .. } => {
            Ok(json(backend_status(version, status), response(id.as_bytes(), member(error), payload)))
        }
        ResponseEvent::Failed(failure) => Err(CallFailed { id, failure }),
        first => json_of_pieces(first, stream, id, version).await,
    }
}

fn note_use(ids: Option<&EventIds>) {
    if let Some(ids) = ids {
        ids.note_use();
    }
}

/// Builds the JSON response of a result that comes in pieces: with its length where all of them are there already, as those of a result
/// of some chunks are.
async fn json_of_pieces<S>(
    first: ResponseEvent,
    mut stream: S,
    id: Box<str>,
    version: Version,
) -> Result<Response<ResponseBody<S>>, CallFailed>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    let ResponseEvent::End { error, status, .. } = first else {
        return Err(CallFailed { id, failure: Failure::Internal });
    };
    let status = backend_status(version, status);
    let mut pieces = arrived(first, &mut stream).await;
    match pieces.back() {
        Some(ResponseEvent::End { more: false, .. }) => {
            let payloads = pieces.drain(..).filter_map(payload).collect();
            Ok(json(status, response_of_pieces(id.as_bytes(), member(error), payloads)))
        }
        Some(ResponseEvent::Failed(failure)) => Err(CallFailed { id, failure: failure.clone() }),
        _ => {
            let entry = Entry::Call { id, era: version.era(), first: None, arrived: pieces, stream };
            let queue = VecDeque::from([entry]);
            Ok(json_stream(status, ResponseBody::stream(Framing::Json, queue)))
        }
    }
}

/// Returns the first piece of a result with those after it that are there already, up to about [`MAX_COLLECTED`].
async fn arrived<S>(first: ResponseEvent, stream: &mut S) -> VecDeque<ResponseEvent>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    let mut pieces = VecDeque::from([first]);
    let mut bytes = 0;
    while let Some(ResponseEvent::End { more: true, payload, .. }) = pieces.back() {
        bytes += payload.len();
        if bytes >= MAX_COLLECTED {
            break;
        }
        let Poll::Ready(next) = poll_fn(|cx| Poll::Ready(stream.poll_next_unpin(cx))).await else { break };
        pieces.push_back(next.unwrap_or(ResponseEvent::Failed(Failure::Internal)));
    }
    pieces
}

fn payload(event: ResponseEvent) -> Option<Bytes> {
    match event {
        ResponseEvent::End { payload, .. } => Some(payload),
        ResponseEvent::Event { .. } | ResponseEvent::Failed(_) => None,
    }
}

fn member(error: bool) -> Member {
    if error { Member::Error } else { Member::Result }
}

/// Builds the HTTP response of a request that gets none: a stream of no events, and 202 for a client that does not take one.
fn no_response<S>(accept: Accept, keepalive: Duration) -> Response<ResponseBody<S>>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    match accept {
        Accept::Json => empty(StatusCode::ACCEPTED),
        Accept::JsonOrEvents | Accept::EventsOrJson | Accept::EventsOnly => {
            events(ResponseBody::stream(Framing::events(keepalive), VecDeque::new()))
        }
    }
}

/// Returns the next event. A stream that ends without a last event is a fault of its producer.
async fn next_event<S: Stream<Item = ResponseEvent> + Unpin>(stream: &mut S) -> ResponseEvent {
    stream.next().await.unwrap_or(ResponseEvent::Failed(Failure::Internal))
}

/// Returns the first piece of the end, skipping events: this client does not accept them.
async fn first_of_end<S: Stream<Item = ResponseEvent> + Unpin>(stream: &mut S) -> ResponseEvent {
    loop {
        match next_event(stream).await {
            ResponseEvent::Event { .. } => {}
            end => return end,
        }
    }
}
