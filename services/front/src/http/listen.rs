//! GET: a legacy client's stream of list changes and keep-alive comments (2025-11-25, Transports, "Listening for
//! Messages from the Server"). A stream ends with its session. Must not know calls.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::{Stream, stream};
use protocol::mcp::catalog::ListKind;
use protocol::mcp::failure::Failure;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::accept::accepts_events;
use super::context::{HandlerResult, RequestContext};
use super::era;
use super::era::detect::VERSION;
use super::response::{SESSION_ID, events};
use super::response_body::ResponseBody;
use super::resume::{self, LAST_EVENT_ID};
use crate::calls::{Calls, Listing};
use crate::edge::{Edge, ListeningStreamGuard, unix_now};
use crate::listeners::Listener;
use crate::session::Session;
use crate::usage::StreamShare;

const COMMENT: &[u8] = b":\n\n";

/// Path at which clients of 2024-11-05 open their stream.
const SSE_PATH: &str = "/sse";

/// Returns whether a GET request opens the stream of the transport of 2024-11-05, whose clients wait there for an `endpoint` event
/// that never comes. Clients of later versions name a session or a version.
fn is_sse_transport(path: &str, headers: &HeaderMap) -> bool {
    path == SSE_PATH && !headers.contains_key(SESSION_ID) && !headers.contains_key(VERSION)
}

/// State of one stream.
struct Listening {
    listing: watch::Receiver<Arc<Listing>>,
    /// What the client was told of last.
    known: Arc<Listing>,
    closing: watch::Receiver<bool>,
    /// Place among the streams of the session; `None` for a client without a session.
    listener: Option<Listener>,
    /// End of the session's token. `None`: too far away to be reached, or no session.
    expires: Option<Instant>,
    /// Silence after which a comment is sent.
    keepalive: Duration,
    /// Whether the first comment was sent, which makes the response headers travel at once.
    opened: bool,
    _guard: ListeningStreamGuard,
    _share: StreamShare,
}

/// Handles a GET request: opens a stream that ends when the edge closes or the session ends.
pub(crate) async fn handle<C: Calls>(
    context: &RequestContext<'_, C>,
    path: &str,
) -> HandlerResult<C::Stream> {
    let session = check(context, path).map_err(|failure| context.refusal(failure))?;
    if let Some((session, last)) = session.as_ref().zip(context.headers.get(LAST_EVENT_ID)) {
        return resume::handle(context, session, last).await;
    }
    let share = context.edge.usage.stream(context.client()).map_err(|failure| context.refusal(failure))?;
    Ok(events(ResponseBody::Listen(listen(context.edge, session.as_ref(), share))))
}

fn check<C>(context: &RequestContext<'_, C>, path: &str) -> Result<Option<Session>, Failure> {
    era::check_http_method(context.headers, "GET")?;
    if is_sse_transport(path, context.headers) {
        return Err(Failure::SseTransport(SSE_PATH));
    }
    if !accepts_events(context.headers) {
        return Err(Failure::NotAcceptable("GET opens a stream: accept text/event-stream".into()));
    }
    era::stream_opener(context)
}

/// Returns a stream of list changes that ends when the edge closes, the session ends, or the implementation of [`Calls`] is dropped.
fn listen<C: Calls>(
    edge: &Edge<C>,
    session: Option<&Session>,
    share: StreamShare,
) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
    let mut listing = edge.listing.clone();
    let known = Arc::clone(&listing.borrow_and_update());
    let listener = session.map(|session| edge.listeners.open(session.id));
    // A session that ended since the request was checked found no stream to end.
    if let Some(session) = session.filter(|session| edge.revoked.contains(session)) {
        edge.listeners.end(&session.id);
    }
    let left = session.map(|session| Duration::from_secs(session.expires.saturating_sub(unix_now())));
    let state = Listening {
        listing,
        known,
        closing: edge.subscribe_closing(),
        listener,
        expires: left.and_then(|left| Instant::now().checked_add(left)),
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
    let Listening { listing, known, closing, listener, expires, keepalive, .. } = &mut state;
    let bytes = tokio::select! {
        biased;
        _ = closing.wait_for(|closing| *closing) => return None,
        changed = next_change(listing, known, listener.as_mut()) => changes(&changed?),
        () = expired(*expires) => return None,
        () = sleep(*keepalive) => Bytes::from_static(COMMENT),
    };
    Some((bytes, state))
}

/// Returns the notifications of changed lists as events. Both lists of resources have one notification.
fn changes(kinds: &[ListKind]) -> Bytes {
    let names = kinds.iter().map(|kind| match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources | ListKind::ResourceTemplates => "resources",
    });
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    let event = |name: &&str| {
        format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{name}/list_changed\"}}\n\n")
    };
    names.iter().map(event).collect::<String>().into()
}

/// Waits for changed lists of which this stream is to tell; `None`: the stream ends. Cancel-safe.
async fn next_change(
    listing: &mut watch::Receiver<Arc<Listing>>,
    known: &mut Arc<Listing>,
    mut listener: Option<&mut Listener>,
) -> Option<Vec<ListKind>> {
    loop {
        if let Some(listener) = listener.as_deref_mut() {
            listener.wait_for_turn().await?;
        }
        tokio::select! {
            biased;
            () = turn_changed(listener.as_deref_mut()) => {}
            changed = listing.changed() => {
                changed.ok()?;
                let now = Arc::clone(&listing.borrow_and_update());
                let kinds = match listener.as_deref() {
                    Some(listener) => listener.claim(known, &now),
                    None => known.changed_kinds(&now),
                };
                *known = now;
                if !kinds.is_empty() {
                    return Some(kinds);
                }
            }
        }
    }
}

async fn turn_changed(listener: Option<&mut Listener>) {
    match listener {
        Some(listener) => listener.turn_changed().await,
        None => std::future::pending().await,
    }
}

async fn expired(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
