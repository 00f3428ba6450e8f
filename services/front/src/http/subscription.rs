//! `subscriptions/listen`: a modern client's stream of changes (2026-07-28, Subscriptions): acknowledged first, kept alive by comments, ended
//! by a result. Must not know how changes are found out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::failure::Failure;
use protocol::mcp::subscription::{
    ListenEvent, SubscriptionFilter, TaskUpdate, closing_result, list_changed,
};
use tokio::sync::watch;
use tokio::time::sleep;

use super::accept::Accept;
use super::context::RequestContext;
use super::era;
use super::listen::{COMMENT, event};
use crate::calls::{Calls, Listing, Updates};
use crate::edge::ListeningStreamGuard;
use crate::introduction::Introduction;
use crate::jsonrpc::{Member, response};
use crate::list_changes::{ListChanges, notified_lists};
use crate::method::{Caller, Request};
use crate::usage::StreamShare;

/// Where a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It waits for those who can tell of updates.
    Opening,
    /// It was acknowledged.
    Open,
    /// Its result was sent.
    Over,
}

/// State of one stream.
struct Subscription {
    /// Id of the request, as raw JSON, by which the subscription is known.
    id: Box<str>,
    phase: Phase,
    /// What is honoured; resources and tasks only as far as somebody has said so.
    filter: SubscriptionFilter,
    changes: ListChanges,
    updates: Updates,
    closing: watch::Receiver<bool>,
    keepalive: Duration,
    /// Events that are ready.
    ready: VecDeque<Bytes>,
    _guard: ListeningStreamGuard,
    _share: StreamShare,
}

/// Begins a stream of what the request asks for and somebody can tell.
pub(crate) fn open<C: Calls>(
    context: &RequestContext<'_, C>,
    request: &Request<'_>,
    caller: &Caller,
    accept: Accept,
) -> Result<Pin<Box<dyn Stream<Item = Bytes> + Send>>, Failure> {
    let wanted = SubscriptionFilter::of_request(request.message)
        .map_err(|error| Failure::InvalidParams(error.to_string()))?;
    if !wanted.task_ids.is_empty() {
        era::require_tasks(request.params)?;
    }
    if accept == Accept::Json {
        return Err(Failure::NotAcceptable("this request opens a stream: accept text/event-stream".into()));
    }
    let edge = context.edge;
    let share = edge.usage.stream(context.client())?;
    let updates: Updates = if wanted.resource_subscriptions.is_empty() && wanted.task_ids.is_empty() {
        let nothing = ListenEvent::watching(Vec::new(), Vec::new());
        Box::pin(stream::once(async { nothing }).chain(stream::pending()))
    } else {
        let header = CallHeader {
            purpose: Purpose::Listen,
            ..CallHeader::new(request.method, caller.era, caller.version)
        };
        edge.calls.updates(header, request.message.clone(), context.call_context())
    };
    let changes = ListChanges::new(edge.listing.clone(), context.call_context().requester().into_owned());
    let state = Subscription {
        id: request.id.into(),
        phase: Phase::Opening,
        filter: honoured(wanted, &changes.opened().introduction),
        changes,
        updates,
        closing: edge.subscribe_closing(),
        keepalive: edge.config.keepalive,
        ready: VecDeque::new(),
        _guard: edge.count_listening_stream(),
        _share: share,
    };
    Ok(Box::pin(stream::unfold(state, next)))
}

/// Returns what of a filter is honoured: a list that nobody has is left out.
fn honoured(wanted: SubscriptionFilter, introduction: &Introduction) -> SubscriptionFilter {
    SubscriptionFilter {
        prompts_list_changed: wanted.prompts_list_changed && introduction.has_prompts(),
        resources_list_changed: wanted.resources_list_changed && introduction.has_resources(),
        ..wanted
    }
}

/// What a stream waits for.
enum Awaited {
    /// The edge closes.
    Closing,
    /// An event of the updates; `None`: nobody tells of any now.
    Update(Option<ListenEvent>),
    /// Lists have changed; `None`: they do not change any more.
    Lists(Option<Arc<Listing>>),
    /// Nothing has come for the keep-alive interval.
    Silence,
}

/// Returns the next bytes. No `async fn`, whose future would hold the state twice: there are thousands of streams.
#[allow(clippy::manual_async_fn, reason = "size")]
fn next(mut state: Subscription) -> impl Future<Output = Option<(Bytes, Subscription)>> + Send {
    async move {
        loop {
            // The acknowledgement is the first event.
            if state.phase != Phase::Opening
                && let Some(bytes) = state.ready.pop_front()
            {
                return Some((bytes, state));
            }
            if state.phase == Phase::Over {
                return None;
            }
            match state.wait().await {
                Awaited::Closing | Awaited::Lists(None) => state.end(),
                Awaited::Update(Some(ListenEvent::Watching(watched))) => state.acknowledge(&watched),
                Awaited::Update(Some(ListenEvent::Updated(update))) => {
                    state.ready_event(&update.notification(Some(&state.id)));
                }
                Awaited::Update(Some(ListenEvent::TaskUpdated(update))) => state.tell_of_task(&update),
                Awaited::Update(Some(ListenEvent::Posted(_) | ListenEvent::Passed(_))) => {}
                Awaited::Update(None) => {
                    state.acknowledge(&SubscriptionFilter::default());
                    state.updates = Box::pin(stream::pending());
                }
                Awaited::Lists(Some(now)) => {
                    let lists = notified_lists(&state.changes.opened().changed_kinds(&now));
                    state.changes.set_opened(now);
                    state.tell(&lists);
                }
                Awaited::Silence => return Some((Bytes::from_static(COMMENT), state)),
            }
        }
    }
}

impl Subscription {
    /// Waits for the next thing that may be told. Cancel-safe.
    async fn wait(&mut self) -> Awaited {
        let is_open = self.phase == Phase::Open;
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => Awaited::Closing,
            update = self.updates.next() => Awaited::Update(update),
            now = self.changes.next(), if is_open => Awaited::Lists(now),
            () = sleep(self.keepalive) => Awaited::Silence,
        }
    }

    /// Acknowledges what is honoured, with those of the resources and tasks that are watched. The first event; does nothing afterwards.
    fn acknowledge(&mut self, watched: &SubscriptionFilter) {
        if self.phase != Phase::Opening {
            return;
        }
        self.phase = Phase::Open;
        self.filter.resource_subscriptions.retain(|uri| watched.resource_subscriptions.contains(uri));
        self.filter.task_ids.retain(|id| watched.task_ids.contains(id));
        self.ready.push_front(event(&self.filter.acknowledgement(Some(&self.id))));
    }

    /// Tells of a task that was acknowledged.
    fn tell_of_task(&mut self, update: &TaskUpdate) {
        if self.filter.task_ids.contains(&update.id)
            && let Some(notification) = update.notification(&self.id)
        {
            self.ready_event(&notification);
        }
    }

    /// Tells of those lists of which the client wants to know.
    fn tell(&mut self, lists: &[&str]) {
        for list in lists {
            let wanted = match *list {
                "tools" => self.filter.tools_list_changed,
                "prompts" => self.filter.prompts_list_changed,
                _ => self.filter.resources_list_changed,
            };
            if wanted {
                self.ready_event(&list_changed(list, Some(&self.id)));
            }
        }
    }

    /// Ends the subscription in order ("Graceful Closure").
    fn end(&mut self) {
        self.acknowledge(&SubscriptionFilter::default());
        let result = response(self.id.as_bytes(), Member::Result, closing_result(&self.id));
        self.ready_event(&result.into_bytes());
        self.phase = Phase::Over;
    }

    fn ready_event(&mut self, message: &[u8]) {
        self.ready.push_back(event(message));
    }
}
