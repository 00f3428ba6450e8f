//! GET with `Last-Event-ID`: the client goes on with the stream of a call where it broke off (2025-11-25, Transports, "Resumability and
//! Redelivery"). Must not know slaves.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::link::call::ResponseEvent;
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::era::Era;
use protocol::mcp::failure::{Failure, FailureKind, kind_in};
use protocol::mcp::request_state::{RequestState, StateLabel};
use tokio::time::timeout;

use super::cancelled::is_unanswered;
use super::context::{HandlerResult, RequestContext};
use super::event_ids::{EventIds, Holder, SealedCall, open};
use super::framing::Framing;
use super::response::events;
use super::response_body::ResponseBody;
use super::response_stream::Entry;
use crate::calls::Calls;
use crate::session::Session;

/// `Last-Event-ID`.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Handles the request of a client of this session. An id that was not given out to it, or of a call that is not kept any more, is
/// refused: a stream that closed at once would look like one that has ended.
pub(super) async fn handle<C: Calls>(
    context: &RequestContext<'_, C>,
    session: &Session,
    last: &HeaderValue,
) -> HandlerResult<C::Stream> {
    let edge = context.edge;
    let refused = |failure: Failure| context.refusal(failure);
    let holder =
        Holder { sealer: Arc::clone(&edge.sealer), principal: context.principal, session: session.id };
    let opened = last.to_str().ok().and_then(|text| open(&holder, text));
    let (sealed, base, after) = opened.ok_or_else(|| refused(unknown()))?;
    let share = edge.usage.stream(context.client()).map_err(refused)?;
    let (header, message) = request(session, &sealed, after);
    let mut stream = edge.calls.call(header, message, context.call_context());
    // Whether the call is still there shows with its first event; while it is silent, it is.
    let first = match timeout(edge.config.sse_after, stream.next()).await {
        Ok(None) => return Err(refused(Failure::Internal)),
        Ok(Some(ResponseEvent::Failed(failure))) => return Err(refused(lost(failure))),
        Ok(Some(ResponseEvent::End { error: true, payload, .. }))
            if kind_in(&payload) == Some(FailureKind::StateLost) =>
        {
            return Err(refused(unknown()));
        }
        // A stream that ends without a response would be resumed again and again.
        Ok(Some(end)) if is_unanswered(Era::Legacy, &end) => return Err(refused(unknown())),
        Ok(first) => first,
        Err(_) => None,
    };
    let id: Box<str> = sealed.id.get().into();
    let ids = EventIds::resumed(holder, sealed, base, after);
    let arrived = VecDeque::new();
    let queue = VecDeque::from([Entry::Call { id, era: Era::Legacy, first, arrived, stream }]);
    let mut body = ResponseBody::stream(Framing::events(edge.config.keepalive), queue);
    body.number(Some(ids));
    body.keep(share);
    Ok(events(body))
}

/// Builds the call that goes on with another. Its message tells the checks of responses what the client's request was.
fn request(session: &Session, sealed: &SealedCall, after: u64) -> (CallHeader, Bytes) {
    let label = sealed.spot.label.as_deref().and_then(|label| StateLabel::at_start(label.as_bytes()));
    let header = CallHeader {
        purpose: Purpose::Resume { call: sealed.spot.call.clone(), after },
        request_state: label.map_or(RequestState::Absent, RequestState::Labelled),
        session: Some(session.key()),
        kind: sealed.named.as_ref().map(|(kind, _)| *kind),
        name: sealed.named.as_ref().map(|(_, name)| name.clone()),
        ..CallHeader::new("resume", Era::Legacy, session.version)
    };
    let token = sealed.token.as_ref().map(|token| format!(r#""progressToken":{token}"#)).unwrap_or_default();
    let id = &sealed.id;
    (
        header,
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"resume","params":{{"_meta":{{{token}}}}}}}"#).into(),
    )
}

fn unknown() -> Failure {
    Failure::InvalidRequest(
        "Last-Event-ID names no event of this session that the server can go on from: call again".into(),
    )
}

/// A slave that is gone has taken what it kept with it.
fn lost(failure: Failure) -> Failure {
    if matches!(failure, Failure::StateLost) { unknown() } else { failure }
}
