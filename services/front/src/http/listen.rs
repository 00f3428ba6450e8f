//! GET: a legacy client's stream of list changes and keep-alive comments (2025-11-25, Transports, "Listening for
//! Messages from the Server"). Must not know calls.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use protocol::mcp::failure::Failure;
use tokio::sync::watch;
use tokio::time::sleep;

use super::accept::accepts_events;
use super::context::{HandlerResult, RequestContext};
use super::era;
use super::response::events;
use super::response_body::ResponseBody;
use crate::calls::{Calls, Listing};
use crate::edge::{Edge, ListeningStreamGuard};
use crate::usage::StreamShare;

const TOOLS_CHANGED: &[u8] =
    b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
const COMMENT: &[u8] = b":\n\n";

/// State of one stream.
struct Listening {
    listing: watch::Receiver<Arc<Listing>>,
    closing: watch::Receiver<bool>,
    /// Silence after which a comment is sent.
    keepalive: Duration,
    /// Whether the first comment was sent, which makes the response headers travel at once.
    opened: bool,
    _guard: ListeningStreamGuard,
    _share: StreamShare,
}

/// Handles a GET request: opens a stream that ends when the edge closes.
pub(crate) fn handle<C: Calls>(context: &RequestContext<'_, C>) -> HandlerResult<C::Stream> {
    check(context).map_err(|failure| context.refusal(failure))?;
    let share = context.edge.usage.stream(context.client()).map_err(|failure| context.refusal(failure))?;
    Ok(events(ResponseBody::Listen(listen(context.edge, share))))
}

fn check<C>(context: &RequestContext<'_, C>) -> Result<(), Failure> {
    era::check_http_method(context.headers, "GET")?;
    if !accepts_events(context.headers) {
        return Err(Failure::NotAcceptable("GET opens a stream: accept text/event-stream".into()));
    }
    era::check_stream_opener(context)
}

/// Returns a stream of list changes that ends when the edge closes or the implementation of [`Calls`] is dropped.
fn listen<C: Calls>(edge: &Edge<C>, share: StreamShare) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
    let mut listing = edge.listing.clone();
    listing.mark_unchanged();
    let state = Listening {
        listing,
        closing: edge.subscribe_closing(),
        keepalive: edge.config.keepalive,
        opened: false,
        _guard: edge.count_listening_stream(),
        _share: share,
    };
    Box::pin(stream::unfold(state, next))
}

async fn next(mut state: Listening) -> Option<(Bytes, Listening)> {
    if !state.opened {
        state.opened = true;
        return Some((Bytes::from_static(COMMENT), state));
    }
    let bytes = tokio::select! {
        biased;
        _ = state.closing.wait_for(|closing| *closing) => return None,
        changed = state.listing.changed() => {
            changed.ok()?;
            TOOLS_CHANGED
        }
        () = sleep(state.keepalive) => COMMENT,
    };
    Some((Bytes::from_static(bytes), state))
}
