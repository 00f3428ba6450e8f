//! What slaves tell one client: updates of resources and notifications, from all slaves that can tell of any, or messages for its inbox, from those that
//! carry them. Slaves that link later join in. Must not know HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use front::calls::Updates;
use futures_util::stream;
use policy::Requester;
use protocol::link::call::ResponseEvent;
use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::catalog::{CARRIES_EXTENSIONS, CARRIES_TASKS};
use protocol::mcp::era::{Era, TASKS};
use protocol::mcp::kind::Kind;
use protocol::mcp::subscription::{ListenEvent, MAX_LISTEN_EVENT, SubscriptionFilter};
use protocol::mcp::task_id;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::forwarder::Forwarder;
use super::posting::{INBOXES, carriers};
use crate::links::{Recv, ResponseRx, Slave};

/// Time in which slaves say what they watch. A slave that is slower joins in without having said so.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which a slave that ended the call is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The call that listens at one slave. Dropping it cancels the call.
struct Attached {
    slave: Arc<Slave>,
    id: CallId,
    response: Arc<ResponseRx>,
    /// The event of which parts have come.
    event: Vec<u8>,
    /// Whether the slave has said what it watches.
    ready: bool,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.slave.cancel(self.id);
    }
}

/// What came of one slave.
enum Received {
    Event(ListenEvent),
    /// The slave has ended the call, or it cannot be used.
    Ended(u64),
}

/// Which slaves are asked.
enum Sources {
    /// Those that can tell a client of this era of anything.
    Updates(Era),
    /// Those that carry messages for the stream of this session.
    Carriers(String),
}

/// The updates of one client.
struct Listening {
    forwarder: Arc<Forwarder>,
    sources: Sources,
    header: Bytes,
    message: Bytes,
    attached: Vec<Attached>,
    /// When slaves that ended the call may be asked again, by key.
    ended: HashMap<u64, Instant>,
    changes: watch::Receiver<()>,
    /// What is watched and when this is said at the latest; `None`: it was said.
    watching: Option<(SubscriptionFilter, Instant)>,
    /// Who listens.
    client: Requester<'static>,
}

/// Begins to listen at all slaves that can tell of updates.
pub(super) fn listen(
    forwarder: &Arc<Forwarder>,
    header: CallHeader,
    message: Bytes,
    client: Requester<'static>,
) -> Updates {
    let Ok(text) = serde_json::to_vec(&header) else { return Box::pin(stream::empty()) };
    let mut listening = Listening {
        forwarder: Arc::clone(forwarder),
        sources: match (header.purpose, header.session) {
            (Purpose::Inbox, Some(session)) => Sources::Carriers(session),
            _ => Sources::Updates(header.era),
        },
        header: text.into(),
        message,
        attached: Vec::new(),
        ended: HashMap::new(),
        changes: forwarder.changes(),
        watching: Some((SubscriptionFilter::default(), Instant::now() + READY_TIMEOUT)),
        client,
    };
    listening.attach();
    Box::pin(stream::unfold(listening, next))
}

async fn next(mut listening: Listening) -> Option<(ListenEvent, Listening)> {
    loop {
        if listening.attached.iter().all(|attached| attached.ready)
            && let Some(watching) = listening.take_watching()
        {
            return Some((watching, listening));
        }
        let Listening { attached, changes, watching, ended, forwarder, client, .. } = &mut listening;
        // Asked for each event: the policy may be another by now.
        let may_know = |told: EventSubject<'_>, slave: &Slave| match told {
            EventSubject::Resource(uri) => forwarder.may_read(client, uri, slave),
            EventSubject::Task(id) => forwarder.may_use(|| client.clone(), Kind::Task, id, slave),
            EventSubject::Other => forwarder.may_use(|| client.clone(), Kind::Task, "", slave),
        };
        let due = watching.as_ref().map(|(_, due)| *due);
        let wake = due.into_iter().chain(ended.values().copied()).min();
        tokio::select! {
            biased;
            received = std::future::poll_fn(|cx| poll_any(attached, &may_know, cx)) => match received {
                Received::Event(ListenEvent::Watching(watched)) => listening.add_watching(watched),
                Received::Event(update) => return Some((update, listening)),
                Received::Ended(key) => listening.remove(key),
            },
            changed = changes.changed() => {
                changed.ok()?;
                listening.attach();
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                let now = Instant::now();
                listening.ended.retain(|_, until| *until > now);
                listening.attach();
                if listening.watching.as_ref().is_some_and(|(_, due)| *due <= now)
                    && let Some(watching) = listening.take_watching()
                {
                    return Some((watching, listening));
                }
            }
        }
    }
}

impl Listening {
    /// Joins the slaves that are to be asked and are not yet.
    fn attach(&mut self) {
        for slave in self.sources.slaves(&self.forwarder) {
            let is_known = self.attached.iter().any(|attached| attached.slave.key == slave.key)
                || self.ended.contains_key(&slave.key);
            if is_known {
                continue;
            }
            let (id, response) = (self.forwarder.next_id(), Arc::new(ResponseRx::default()));
            let Some(message) = self.message_for(&slave) else { continue };
            if slave.listen(id, &self.header, &message, &response).is_ok() {
                self.attached.push(Attached { slave, id, response, event: Vec::new(), ready: false });
            }
        }
    }

    /// Returns the message with those of the resources only that the client may read at the slave; `None`: nothing is left.
    fn message_for(&self, slave: &Slave) -> Option<Bytes> {
        let Ok(filter) = SubscriptionFilter::of_request(&self.message) else {
            return Some(self.message.clone());
        };
        let all = &filter.resource_subscriptions;
        let may_read = |uri: &&String| self.forwarder.may_read(&self.client, uri, slave);
        let allowed: Vec<&String> = all.iter().filter(may_read).collect();
        if allowed.len() == all.len() {
            return Some(self.message.clone());
        }
        if allowed.is_empty() && filter.task_ids.is_empty() {
            return None;
        }
        SubscriptionFilter::replace_resources(&self.message, &allowed)
    }

    fn add_watching(&mut self, watched: SubscriptionFilter) {
        if let Some((watching, _)) = &mut self.watching {
            watching.resource_subscriptions.extend(watched.resource_subscriptions);
            watching.task_ids.extend(watched.task_ids);
        }
    }

    fn take_watching(&mut self) -> Option<ListenEvent> {
        self.watching.take().map(|(watching, _)| ListenEvent::Watching(watching))
    }

    fn remove(&mut self, key: u64) {
        self.attached.retain(|attached| attached.slave.key != key);
        self.ended.insert(key, Instant::now() + RETRY);
    }
}

impl Sources {
    fn slaves(&self, forwarder: &Forwarder) -> Vec<Arc<Slave>> {
        match self {
            Self::Carriers(session) => carriers(forwarder, session, INBOXES),
            Self::Updates(era) => {
                let mut slaves = forwarder.registry.all();
                slaves.retain(|slave| slave.accepts_calls() && tells(slave, *era));
                slaves
            }
        }
    }
}

/// Returns whether a backend of the slave can tell of updates or of tasks of this era; for a legacy client also whether it runs for clients
/// alone and so can tell of anything.
fn tells(slave: &Slave, era: Era) -> bool {
    let catalog = slave.catalog();
    catalog.servers.iter().any(|server| {
        let facts = &server.facts;
        let of_clients = || facts.carries(CARRIES_TASKS) || facts.carries(CARRIES_EXTENSIONS);
        let has_tasks = || facts.capability(&["extensions", TASKS]).is_some();
        let tells_of_more = match era {
            Era::Legacy => of_clients(),
            Era::Modern => facts.era == Some(Era::Modern) && has_tasks(),
        };
        facts.capability(&["resources", "subscribe"]).is_some() || tells_of_more
    })
}

/// What a slave tells of.
#[derive(Clone, Copy)]
enum EventSubject<'a> {
    Resource(&'a str),
    /// A task, by its id.
    Task(&'a str),
    /// Something of the client's own, which no rule names.
    Other,
}

/// Polls for the next event of any slave, without what the client may not read there.
fn poll_any(
    attached: &mut [Attached],
    may_know: &impl Fn(EventSubject<'_>, &Slave) -> bool,
    cx: &mut Context<'_>,
) -> Poll<Received> {
    for one in attached {
        if let Poll::Ready(received) = one.poll_allowed(may_know, cx) {
            return Poll::Ready(received);
        }
    }
    Poll::Pending
}

impl Attached {
    /// Polls for the next event without what the client may not read.
    fn poll_allowed(
        &mut self,
        may_know: &impl Fn(EventSubject<'_>, &Slave) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        loop {
            return Poll::Ready(match ready!(self.poll_event(cx)) {
                Received::Event(ListenEvent::Updated(update))
                    if !may_know(EventSubject::Resource(&update.uri), &self.slave) =>
                {
                    continue;
                }
                Received::Event(ListenEvent::Passed(message)) => {
                    let task = task_id::of_status(&message);
                    let subject = task.as_deref().map_or(EventSubject::Other, EventSubject::Task);
                    if !may_know(subject, &self.slave) {
                        continue;
                    }
                    Received::Event(ListenEvent::Passed(message))
                }
                Received::Event(ListenEvent::TaskUpdated(update))
                    if !may_know(EventSubject::Task(&update.id), &self.slave) =>
                {
                    continue;
                }
                Received::Event(ListenEvent::Watching(mut watched)) => {
                    let may_read = |uri: &String| may_know(EventSubject::Resource(uri), &self.slave);
                    watched.resource_subscriptions.retain(may_read);
                    watched.task_ids.retain(|id| may_know(EventSubject::Task(id), &self.slave));
                    Received::Event(ListenEvent::Watching(watched))
                }
                received => received,
            });
        }
    }

    /// Polls for the next whole event.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let ended = Poll::Ready(Received::Ended(self.slave.key));
        loop {
            let (seq, more, payload) = match self.response.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                // It may still come back, with all that it has to tell.
                Poll::Ready(Recv::ProbablyLost) => {
                    self.ready = true;
                    continue;
                }
                Poll::Ready(Recv::ResponseEvent(ResponseEvent::Event {
                    seq,
                    more,
                    request: false,
                    payload,
                })) => (seq, more, payload),
                Poll::Ready(Recv::ResponseEvent(_) | Recv::Unsent) => return ended,
            };
            self.slave.acknowledge(self.id, seq + 1, payload.len(), false);
            self.event.extend_from_slice(&payload);
            if self.event.len() > MAX_LISTEN_EVENT {
                return ended;
            }
            if more {
                continue;
            }
            if let Some(event) = ListenEvent::read(&std::mem::take(&mut self.event)) {
                self.ready |= matches!(event, ListenEvent::Watching(_));
                return Poll::Ready(Received::Event(event));
            }
            let slave = &self.slave.name;
            tracing::debug!(slave, "Dropped an event that is no update of a resource");
        }
    }
}
