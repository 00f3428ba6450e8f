//! GET: a legacy client's stream of list changes, updates of resources and keep-alive comments (2025-11-25, Transports, "Listening for
//! Messages from the Server"). A stream ends with its session. Must not know calls.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::subscription::{ListenEvent, list_changed};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::accept::accepts_events;
use super::context::{HandlerResult, RequestContext};
use super::era;
use super::response::events;
use super::response_body::ResponseBody;
use super::resume::{self, LAST_EVENT_ID};
use crate::calls::{Calls, Updates};
use crate::edge::{ListeningStreamGuard, unix_now};
use crate::list_changes::{ListChanges, notified_lists};
use crate::listeners::Listener;
use crate::session::Session;
use crate::usage::StreamShare;

pub(super) const COMMENT: &[u8] = b":\n\n";

/// State of one stream.
pub(super) struct Listening {
    changes: ListChanges,
    /// Updates of resources that the session subscribed to.
    updates: Updates,
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
pub(crate) async fn handle<C: Calls>(context: &RequestContext<'_, C>) -> HandlerResult<C::Stream> {
    let session = check(context).map_err(|failure| context.refusal(failure))?;
    if let Some((session, last)) = session.as_ref().zip(context.headers.get(LAST_EVENT_ID)) {
        return resume::handle(context, session, last).await;
    }
    let share = context.edge.usage.stream(context.client()).map_err(|failure| context.refusal(failure))?;
    Ok(events(ResponseBody::Listen(listen(context, session.as_ref(), share))))
}

fn check<C>(context: &RequestContext<'_, C>) -> Result<Option<Session>, Failure> {
    era::check_http_method(context.headers, "GET")?;
    if !accepts_events(context.headers) {
        return Err(Failure::NotAcceptable("GET opens a stream: accept text/event-stream".into()));
    }
    era::stream_opener(context)
}

/// Returns a stream of changes that ends when the edge closes, the session ends, or the implementation of [`Calls`] is dropped.
fn listen<C: Calls>(
    context: &RequestContext<'_, C>,
    session: Option<&Session>,
    share: StreamShare,
) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
    Box::pin(stream::unfold(Listening::new(context, session, share), next))
}

impl Listening {
    /// Begins to listen for a session; `None`: for a client without one.
    pub(super) fn new<C: Calls>(
        context: &RequestContext<'_, C>,
        session: Option<&Session>,
        share: StreamShare,
    ) -> Self {
        let edge = context.edge;
        let listener = session.map(|session| edge.listeners.open(session.id));
        // A session that ended since the request was checked found no stream to end.
        if let Some(session) = session.filter(|session| edge.revoked.contains(session)) {
            edge.listeners.end(&session.id);
        }
        let left = session.map(|session| Duration::from_secs(session.expires.saturating_sub(unix_now())));
        Self {
            changes: ListChanges::new(edge.listing.clone(), context.call_context().requester().into_owned()),
            updates: match session {
                Some(session) => updates(context, session),
                None => Box::pin(stream::pending()),
            },
            closing: edge.subscribe_closing(),
            listener,
            expires: left.and_then(|left| Instant::now().checked_add(left)),
            keepalive: edge.config.keepalive,
            opened: false,
            _guard: edge.count_listening_stream(),
            _share: share,
        }
    }

    /// Waits for an event of which the client is to be told; `None`: the session has ended, or there will be none. Cancel-safe.
    pub(super) async fn next_event(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            changed = next_change(&mut self.changes, self.listener.as_mut()) => changed,
            update = next_update(&mut self.updates) => Some(update),
            () = expired(self.expires) => None,
        }
    }

    /// Returns a receiver that turns `true` when the edge closes.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }
}

/// Returns the next bytes. No `async fn`, whose future would hold the state twice: there are thousands of streams.
#[allow(clippy::manual_async_fn, reason = "size")]
fn next(mut state: Listening) -> impl Future<Output = Option<(Bytes, Listening)>> + Send {
    async move {
        if !state.opened {
            state.opened = true;
            return Some((Bytes::from_static(COMMENT), state));
        }
        let (mut closing, keepalive) = (state.closing(), state.keepalive);
        let bytes = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return None,
            told = state.next_event() => told?,
            () = sleep(keepalive) => Bytes::from_static(COMMENT),
        };
        Some((bytes, state))
    }
}

/// Listens for updates of what a session subscribed to at any proxy.
fn updates<C: Calls>(context: &RequestContext<'_, C>, session: &Session) -> Updates {
    let header = CallHeader {
        purpose: Purpose::Listen,
        session: Some(session.key()),
        ..CallHeader::new("resources/subscribe", Era::Legacy, session.version)
    };
    context.edge.calls.updates(header, Bytes::new(), context.call_context())
}

/// Waits for an update of a resource. Cancel-safe.
async fn next_update(updates: &mut Updates) -> Bytes {
    loop {
        match updates.next().await {
            Some(ListenEvent::Updated(update)) => return event(&update.notification(None)),
            Some(ListenEvent::Passed(message)) => return event(&message),
            Some(ListenEvent::Watching(_) | ListenEvent::TaskUpdated(_) | ListenEvent::Posted(_)) => {}
            None => *updates = Box::pin(stream::pending()),
        }
    }
}

/// Returns a message as an event of a stream. The message has no line breaks.
pub(super) fn event(message: &[u8]) -> Bytes {
    [b"data: ", message, b"\n\n"].concat().into()
}

/// Waits for changes of lists of which this stream is to tell, and returns their events; `None`: the stream ends. Cancel-safe.
async fn next_change(changes: &mut ListChanges, mut listener: Option<&mut Listener>) -> Option<Bytes> {
    loop {
        let kinds = match &mut listener {
            None => {
                let now = changes.next().await?;
                let kinds = changes.opened().changed_kinds(&now);
                changes.set_opened(now);
                kinds
            }
            Some(listener) => {
                listener.wait_for_turn().await?;
                tokio::select! {
                    biased;
                    () = listener.turn_changed() => continue,
                    now = changes.next() => listener.claim(changes.opened(), &now?),
                }
            }
        };
        if !kinds.is_empty() {
            let lists = notified_lists(&kinds);
            let events: Vec<Bytes> = lists.iter().map(|list| event(&list_changed(list, None))).collect();
            return Some(events.concat().into());
        }
    }
}

async fn expired(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
