//! Calls that listen for updates of resources and for notifications of backends, and the requests of legacy sessions that subscribe to them. Must not know how backends are asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::subscription::{ListenEvent, SubscriptionFilter};
use tokio_util::sync::CancellationToken;

use super::inboxes::Inboxes;
use super::permission::CallPolicy;
use super::registry::{BackendRegistry, Route};
use crate::bridge::{Shown, TaskIds, TaskName};
use crate::call::{Answer, CallEnd, CallSink, Exchange, Request};
use crate::subscriptions::{
    Mail, Mailbox, Notice, NoticedTask, SessionSubscriptions, TaskWatch, WatchSet, WatchedResources,
};
use crate::task_owners::{TaskKey, TaskOwners};

/// Longest wait for backends to confirm what a call that listens is told first.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);

/// What subscriptions share.
pub(super) struct Listeners {
    registry: Arc<BackendRegistry>,
    sessions: Arc<SessionSubscriptions>,
    /// Ids of tasks as clients know them.
    tasks: Arc<TaskIds>,
    /// Whose tasks are.
    owners: Arc<TaskOwners>,
    inboxes: Arc<Inboxes>,
    /// Cancelled when the slave goes down: calls that listen end in order then.
    over: CancellationToken,
    /// Who may read what.
    policy: CallPolicy,
}

/// A step of a legacy client.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Subscribe,
    Unsubscribe,
}

impl Step {
    /// Returns the step that a method asks for.
    pub(super) fn of(method: &str) -> Option<Self> {
        match method {
            "resources/subscribe" => Some(Self::Subscribe),
            "resources/unsubscribe" => Some(Self::Unsubscribe),
            _ => None,
        }
    }
}

/// A use of a session, after which the session is forgotten where nothing is left of it.
struct SessionGuard<'a> {
    sessions: &'a SessionSubscriptions,
    session: &'a str,
}

impl Drop for SessionGuard<'_> {
    fn drop(&mut self) {
        self.sessions.forget_unused(self.session);
    }
}

impl Listeners {
    pub(super) fn new(
        registry: Arc<BackendRegistry>,
        sessions: Arc<SessionSubscriptions>,
        tasks: Arc<TaskIds>,
        owners: Arc<TaskOwners>,
        policy: CallPolicy,
    ) -> Self {
        Self {
            registry,
            sessions,
            tasks,
            owners,
            inboxes: Arc::default(),
            over: CancellationToken::new(),
            policy,
        }
    }

    /// Ends all calls that listen, now and later.
    pub(super) fn close(&self) {
        self.over.cancel();
    }

    /// Forgets a subscription of a session.
    pub(super) fn unsubscribe(&self, session: &str, uri: &str) {
        self.sessions.remove(session, uri);
    }

    /// Forgets the subscriptions of a session that its client ended.
    pub(super) fn end_session(&self, session: &str) {
        self.sessions.end(session);
    }

    /// Returns the number of subscriptions that sessions have.
    pub(super) fn session_subscriptions(&self) -> usize {
        self.sessions.count()
    }

    /// Takes a step of a legacy session. A backend that refuses answers with its own error. Waits at most `limit` for the backend.
    pub(super) async fn step(
        &self,
        step: Step,
        route: &Route,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let done = || Answer::result(Bytes::from_static(b"{}"));
        let session = request.header.session.as_deref().ok_or_else(|| {
            Failure::InvalidRequest("subscriptions are kept for a session: send Mcp-Session-Id".into())
        })?;
        let uri = request.name.as_str();
        if matches!(step, Step::Unsubscribe) {
            self.sessions.remove(session, uri);
            return Ok(done());
        }
        let watched = route
            .backend
            .watched_resources()
            .ok_or_else(|| Failure::MethodNotFound(request.header.method.clone()))?;
        let mailbox = self.sessions.mailbox(session);
        let watch = watched.watch(route.own_name.as_deref().unwrap_or(uri), uri, &mailbox);
        let _guard = SessionGuard { sessions: &self.sessions, session };
        match tokio::time::timeout(limit, watch.confirmed()).await {
            Err(_) => Err(Failure::Timeout),
            Ok(Err(error)) => Ok(Answer::error(error)),
            Ok(Ok(())) if self.sessions.add(session, uri, watch) => Ok(done()),
            Ok(Ok(())) => Err(Failure::InvalidRequest(
                "the session has too many subscriptions: unsubscribe first".into(),
            )),
        }
    }

    /// Runs a call that listens to its end.
    pub(super) async fn run(
        &self,
        header: &CallHeader,
        message: &Bytes,
        sink: Box<dyn CallSink>,
        cancelled: &CancellationToken,
    ) {
        let mut exchange = Exchange::new(sink);
        let outcome = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(Failure::Cancelled),
            () = self.over.cancelled() => Ok(()),
            outcome = self.listen(header, message, &mut exchange) => outcome,
        };
        exchange.end(match outcome {
            Ok(()) => CallEnd::empty(),
            Err(failure) => CallEnd::failed(&failure, header.era),
        });
    }

    /// Passes updates on until the reader is gone.
    async fn listen(
        &self,
        header: &CallHeader,
        message: &Bytes,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        match (header.era, header.session.as_deref()) {
            (Era::Legacy, Some(session)) if header.purpose == Purpose::Inbox => {
                self.carry_to(session, exchange).await
            }
            (Era::Modern, _) => {
                let mut filter = SubscriptionFilter::of_request(message)
                    .map_err(|error| Failure::InvalidParams(error.to_string()))?;
                filter.resource_subscriptions.retain(|uri| self.policy.may_read(header, uri));
                self.listen_to(&filter, header, exchange).await
            }
            (Era::Legacy, Some(session)) => self.listen_for(session, header, exchange).await,
            (Era::Legacy, None) => Err(Failure::InvalidRequest("it names no session".into())),
        }
    }

    /// Passes updates of these resources and tasks on.
    async fn listen_to(
        &self,
        filter: &SubscriptionFilter,
        header: &CallHeader,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        let mailbox = Mailbox::new();
        let mut reader = mailbox.reader();
        let uris = &filter.resource_subscriptions;
        let mut watches = WatchSet::default();
        let mut changes = self.registry.changes();
        changes.mark_unchanged();
        watches.extend(uris, &mailbox, |uri| self.find(uri));
        let confirmed = watches.iter().map(|(uri, watch)| {
            let (uri, confirmed) = (uri.clone(), watch.confirmed());
            async move {
                let said = tokio::time::timeout(CONFIRM_TIMEOUT, confirmed).await;
                // A backend that does not answer yet may still tell of updates.
                said.is_ok_and(|said| said.is_ok()).then_some(uri)
            }
        });
        let tasks = self.watch_tasks(&filter.task_ids, header, exchange, &mailbox);
        let confirmed_tasks = tasks.iter().map(|(id, watch)| {
            let (id, confirmed) = (id.clone(), watch.confirmed());
            async move {
                let said = tokio::time::timeout(CONFIRM_TIMEOUT, confirmed).await;
                said.unwrap_or(false).then_some(id)
            }
        });
        let (resources, ids) = tokio::join!(join_all(confirmed), join_all(confirmed_tasks));
        let watching = ListenEvent::watching(
            resources.into_iter().flatten().collect(),
            ids.into_iter().flatten().collect(),
        );
        exchange.notify(watching.to_json()).await?;
        loop {
            tokio::select! {
                mail = reader.next() => {
                    if let Some(event) = self.event(mail, header, exchange) {
                        exchange.notify(event.to_json()).await?;
                    }
                }
                result = changes.changed() => {
                    result.map_err(|_| Failure::Internal)?;
                    watches.extend(uris, &mailbox, |uri| self.find(uri));
                }
            }
        }
    }

    /// Begins to watch those of the tasks, by the ids that the client has for them, which are its own and of backends of this era.
    fn watch_tasks(
        &self,
        ids: &[String],
        header: &CallHeader,
        exchange: &Exchange,
        mailbox: &Arc<Mailbox>,
    ) -> Vec<(String, TaskWatch)> {
        let watch = |id: &String| {
            let (route, name) = self.own_task(id, header, exchange)?;
            let task = NoticedTask { backend: route.owner.as_str().into(), origin: name.origin };
            Some((id.clone(), route.backend.watched_resources()?.tasks.watch(&name.id, task, mailbox)))
        };
        ids.iter().filter_map(watch).collect()
    }

    /// Returns the task that an id of this client names, with the route to its backend; `None` where it is none of a backend of this era, or
    /// the client may not use it. Processes of sessions or clients are not watched.
    fn own_task(&self, id: &str, header: &CallHeader, exchange: &Exchange) -> Option<(Arc<Route>, TaskName)> {
        let label = exchange.label();
        let (own, client) =
            (id.strip_prefix(label.as_deref().unwrap_or_default())?, header.client.as_deref());
        let name = self.tasks.read(own, client)?;
        let route = self.registry.of_digest(&name.owner).ok()?;
        let is_modern = route.backend.version().map(Version::era) == Some(Era::Modern);
        let (backend, generation) = (route.owner.as_str().into(), name.origin.generation);
        let key = TaskKey { backend, process: None, generation, id: name.id.as_str().into() };
        let is_allowed = is_modern
            && !route.backend.has_own_processes()
            && !self.owners.is_of_another(&key, client, Instant::now())
            && self.policy.may_use_task(header, &route.owner, &name.origin.tool, &self.registry);
        is_allowed.then_some((route, name))
    }

    /// Passes updates on that a session subscribed to.
    async fn listen_for(
        &self,
        session: &str,
        header: &CallHeader,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        let _guard = SessionGuard { sessions: &self.sessions, session };
        let mut reader = self.sessions.open(session, header.client.as_deref());
        let mut changes = self.registry.changes();
        changes.mark_unchanged();
        exchange.notify(ListenEvent::watching(Vec::new(), Vec::new()).to_json()).await?;
        loop {
            self.sessions.refresh(session, |uri| self.find(uri));
            tokio::select! {
                mail = reader.next() => {
                    if let Some(event) = self.event(mail, header, exchange) {
                        exchange.notify(event.to_json()).await?;
                    }
                }
                result = changes.changed() => result.map_err(|_| Failure::Internal)?,
            }
        }
    }

    /// Returns what the reader of a call that listens is told; `None`: it may not know of it.
    fn event(&self, mail: Mail, header: &CallHeader, exchange: &Exchange) -> Option<ListenEvent> {
        match mail {
            Mail::Update(update) => {
                self.policy.may_read(header, &update.uri).then_some(ListenEvent::Updated(update))
            }
            Mail::Notice(Notice { message, task: None }) => {
                self.policy.may_use_slave(header).then_some(ListenEvent::Passed(message))
            }
            Mail::Notice(Notice { message, task: Some(NoticedTask { backend, origin }) }) => {
                if !self.policy.may_use_task(header, &backend, &origin.tool, &self.registry) {
                    return None;
                }
                let (client, label) = (header.client.as_deref(), exchange.label());
                let to = Shown { owner: &backend, client, origin: &origin, label: label.as_deref() };
                let shown = ListenEvent::read(&self.tasks.show_status(&message, &to)?)?;
                let is_its_own = match &shown {
                    ListenEvent::TaskUpdated(update) => self.own_task(&update.id, header, exchange).is_some(),
                    _ => true,
                };
                is_its_own.then_some(shown)
            }
        }
    }

    /// Hands a message to the inbox of its session, and returns the end of the call that brought it.
    pub(super) fn post(&self, header: &CallHeader, message: &Bytes) -> CallEnd {
        match self.inboxes.post(header.session.as_deref(), message) {
            Ok(()) => CallEnd::empty(),
            Err(failure) => CallEnd::failed(&failure, header.era),
        }
    }

    /// Passes on what is posted to a session.
    async fn carry_to(&self, session: &str, exchange: &mut Exchange) -> Result<(), Failure> {
        let mut inbox = self.inboxes.open(session);
        exchange.notify(ListenEvent::watching(Vec::new(), Vec::new()).to_json()).await?;
        while let Some(message) = inbox.next().await {
            exchange.notify(ListenEvent::Posted(message).to_json()).await?;
        }
        Ok(())
    }

    /// Returns the backend that can tell of updates of a resource, and its own URI of it.
    fn find(&self, uri: &str) -> Option<(Arc<WatchedResources>, String)> {
        let route = self.registry.resource(uri)?;
        let watched = route.backend.watched_resources()?;
        let own = route.own_name.clone().unwrap_or_else(|| uri.to_owned());
        Some((Arc::clone(watched), own))
    }
}
