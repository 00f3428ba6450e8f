//! The transport of 2024-11-05 (HTTP with SSE): `GET /sse` opens a session's stream, whose first event names the endpoint that the client
//! posts its messages to. A post is answered with 202; what it brings is run by the process that has the stream, and answered there.
//!
//! A post may reach a replica that does not have the stream: the message then goes there through a slave, sealed. Must not know how.

mod answers;
mod requests;
mod stream;

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use http_body::Body;
use protocol::mcp::envelope::{Message, Text, parse};
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;

use self::requests::caller;
use super::accept::{accepts_events, check_content_type};
use super::context::{Handled, HandlerResult, RequestContext};
use super::message::{MAX_ID_BYTES, deliver_reply};
use super::path::known_path;
use super::post::{INVALID, read_message};
use super::response::{Refusal, SESSION_ID, empty, events};
use super::response_body::ResponseBody;
use super::{batch, era};
use crate::calls::Calls;
use crate::edge::unix_now;
use crate::method::{envelope_failure, method_label};
use crate::open_streams;
use crate::session::Session;

/// Path of the stream.
const STREAM: &str = "/sse";

/// Path that messages are posted to.
const MESSAGES: &str = "/messages";

/// Parameter of the endpoint with the session's token.
const PARAMETER: &str = "sessionId";

/// Longest message, in bytes, that goes to another replica: an event of a slave carries it.
const MAX_CARRIED: usize = 4 << 20;

/// Longest time that a post waits until the replica that has the stream has it.
const CARRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns whether a GET request opens a stream of this transport: clients of later versions name a session.
pub(super) fn is_asked_for(uri: &Uri, headers: &HeaderMap) -> bool {
    known_path(uri.path(), |path| path == STREAM).is_some() && !headers.contains_key(SESSION_ID)
}

/// Returns the token of the session that a POST request is addressed to; `None`: it is none of this transport.
pub(super) fn endpoint(uri: &Uri) -> Option<&str> {
    known_path(uri.path(), |path| path == MESSAGES)?;
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(name, value)| (name == PARAMETER).then_some(value))
}

/// Handles the GET request that opens a stream.
pub(super) async fn open<C: Calls>(context: &RequestContext<'_, C>) -> HandlerResult<C::Stream> {
    let refused = |failure| context.refusal(failure);
    era::check_http_method(context.headers, "GET").map_err(refused)?;
    if !accepts_events(context.headers) {
        return Err(refused(Failure::NotAcceptable("GET opens a stream: accept text/event-stream".into())));
    }
    let edge = context.edge;
    let share = edge.usage.stream(context.client()).map_err(refused)?;
    let (principal, now) = (&context.principal, unix_now());
    let token = edge.sealer.issue(Version::V2024_11_05, None, principal, now);
    let token = token.ok_or_else(|| refused(Failure::Internal))?;
    let session = edge.sealer.open(token.as_bytes(), principal, now);
    let session = session.ok_or_else(|| refused(Failure::Internal))?;
    let endpoint = format!("{MESSAGES}?{PARAMETER}={token}");
    let stream = stream::open(context, session, &endpoint, share).await;
    Ok(events(ResponseBody::Session(stream)))
}

/// Handles a POST request to the endpoint of this token.
pub(super) async fn post<C, B>(context: &RequestContext<'_, C>, token: &str, body: B) -> Handled<C::Stream>
where
    C: Calls,
    B: Body<Data = Bytes> + Unpin,
{
    let refused = |label, failure| Handled::by_edge(label, Err(context.refusal(failure)));
    let session = match era::open_session(context, token.as_bytes()) {
        Ok(session) => session,
        Err(failure) => return refused(INVALID, failure),
    };
    if let Err(failure) = check_content_type(context.headers) {
        return refused(INVALID, failure);
    }
    let message = match read_message(context, body).await {
        Ok(message) => message,
        Err(failure) => return refused(INVALID, failure),
    };
    let (label, outcome) = match parse(&message) {
        Ok(Message::Request { id, method, .. }) if id.get().len() > MAX_ID_BYTES => {
            let why = format!("\"id\" is longer than {MAX_ID_BYTES} bytes");
            (method_label(method.as_str()), Err(Failure::InvalidRequest(why)))
        }
        Ok(Message::Request { method, .. } | Message::Notification { method, .. }) => {
            (posted_label(&method), carry(context, &session, &message).await)
        }
        Ok(Message::Response { id }) => {
            let caller = caller(&session, session.version, None);
            ("response", deliver_reply(context, id, &message, caller).await)
        }
        Err(_) if batch::is_batch(&message) => {
            (INVALID, Err(Failure::InvalidRequest("this transport takes one message in a body".into())))
        }
        Err(error) => {
            let (id, failure) = envelope_failure(error);
            return Handled::by_edge(INVALID, Err(Refusal { id, ..context.refusal(failure) }));
        }
    };
    match outcome {
        Ok(()) => Handled::by_edge(label, Ok(empty(StatusCode::ACCEPTED))),
        Err(failure) => refused(label, failure),
    }
}

/// Returns the label of a posted message. A request is counted once it is answered, at the stream.
fn posted_label(method: &Text<'_>) -> &'static str {
    if method.as_str().starts_with("notifications/") { method_label(method.as_str()) } else { "posted" }
}

/// Hands a message to whoever has the stream.
async fn carry<C: Calls>(
    context: &RequestContext<'_, C>,
    session: &Session,
    message: &Bytes,
) -> Result<(), Failure> {
    let edge = context.edge;
    if let Some(taken) = edge.open_streams.post(&session.id, message) {
        return taken;
    }
    if message.len() > MAX_CARRIED {
        return Err(Failure::BodyTooLarge { limit: MAX_CARRIED });
    }
    let sealed = open_streams::seal(&edge.sealer, &context.principal, session, message, unix_now());
    let sealed = Bytes::from(sealed.ok_or(Failure::Internal)?);
    let carried = edge.calls.post(&session.key(), sealed);
    tokio::time::timeout(CARRY_TIMEOUT, carried).await.unwrap_or(Err(Failure::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_post_to_the_endpoint_of_a_session_is_of_this_transport() {
        for (uri, token) in [
            ("/messages?sessionId=abc", Some("abc")),
            ("/messages/?sessionId=abc", Some("abc")),
            ("/messages?x=1&sessionId=abc&y", Some("abc")),
            ("/messages?sessionId=", Some("")),
            ("/messages", None),
            ("/messages?session=abc", None),
            ("/messages?xsessionId=abc", None),
            ("/mcp?sessionId=abc", None),
            ("/messages//?sessionId=abc", None),
        ] {
            assert_eq!(endpoint(&uri.parse().unwrap()), token, "{uri}");
        }
    }
}
