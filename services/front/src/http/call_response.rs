//! Opens the answer to one call: headers wait for the first part, which decides the form. Must not know requests.

use std::collections::VecDeque;

use axum::http::{Response, StatusCode};
use futures_util::{Stream, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use tokio::time::timeout;

use super::accept::Accept;
use super::response::{events, json, json_stream};
use super::response_body::ResponseBody;
use super::response_stream::{Entry, Framing, KEEPALIVE_INTERVAL, ResponseStream};
use crate::jsonrpc::{Member, response};

/// How the one who called takes the answer.
pub(crate) struct ResponseOptions {
    pub(crate) takes: Accept,
    pub(crate) version: Version,
    /// The request's id, raw JSON.
    pub(crate) id: Box<str>,
    /// Names the call in event ids.
    pub(crate) token: Option<String>,
}

/// The response to a call. A lone result is JSON with its status; anything else becomes events. So does silence,
/// after [`KEEPALIVE_INTERVAL`]: load balancers take a response without headers for dead.
pub(crate) async fn open<S>(
    mut stream: S,
    taker: ResponseOptions,
) -> Result<Response<ResponseBody<S>>, (Box<str>, Failure)>
where
    S: Stream<Item = ResponseEvent> + Unpin,
{
    let first = match taker.takes {
        Accept::Json => Some(last(&mut stream).await),
        Accept::JsonOrEvents => timeout(KEEPALIVE_INTERVAL, next(&mut stream)).await.ok(),
        Accept::EventsOnly => None,
    };
    match first {
        Some(ResponseEvent::End { more: false, error, status, payload, .. }) => {
            let member = if error { Member::Error } else { Member::Result };
            Ok(json(status_for(taker.version, status), response(taker.id.as_bytes(), member, payload)))
        }
        Some(ResponseEvent::Failed(failure)) => Err((taker.id, failure)),
        Some(part @ ResponseEvent::End { .. }) => {
            let ResponseEvent::End { status, .. } = part else { return Err((taker.id, Failure::Internal)) };
            let status = status_for(taker.version, status);
            let queue = VecDeque::from([Entry::Call(taker.id, Some(part), stream)]);
            Ok(json_stream(
                status,
                ResponseBody::Stream(Box::new(ResponseStream::new(Framing::Message, queue))),
            ))
        }
        first => {
            // Only 2025-11-25 knows event ids that are there before anything has happened.
            let token = taker.token.filter(|_| taker.version == Version::V2025_11_25);
            let queue = VecDeque::from([Entry::Call(taker.id, first, stream)]);
            Ok(events(ResponseBody::Stream(Box::new(ResponseStream::new(Framing::events(token), queue)))))
        }
    }
}

async fn next<S: Stream<Item = ResponseEvent> + Unpin>(stream: &mut S) -> ResponseEvent {
    // A call that ends without a last part broke its promise.
    stream.next().await.unwrap_or(ResponseEvent::Failed(Failure::Internal))
}

/// The beginning of the end: events before it are for clients that take them.
async fn last<S: Stream<Item = ResponseEvent> + Unpin>(stream: &mut S) -> ResponseEvent {
    loop {
        match next(stream).await {
            ResponseEvent::Event { .. } => {}
            part => return part,
        }
    }
}

/// Legacy clients get every answer of a backend with 200, modern ones with the status that its kind asks for.
fn status_for(version: Version, status: u16) -> StatusCode {
    match version.era() {
        // Statuses without a body, or that a slave has no business with, would break the response.
        Era::Modern if (400..600).contains(&status) => StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        _ => StatusCode::OK,
    }
}
