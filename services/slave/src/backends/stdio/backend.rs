//! A configured stdio server as a [`Backend`]: forwards calls to the child that runs at the moment. Must not know how the
//! child is started.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageShape, ProgressToken};
use protocol::mcp::catalog::ServerFacts;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client_requests::OpenRequests;
use super::config::{StdioServer, StdioTiming};
use super::forward::{self, Forwarding, Tasks, ToldIdentity};
use super::incoming::{self, Incoming, with_task_id};
use super::line_fault::LineFault;
use super::log_readers::{LogReader, LogWish};
use super::odd_lines::OddLines;
use super::request_table::RequestKind;
use super::results::{self, Found};
use super::session::{OutboundRequest, Session};
use super::slots::Slots;
use super::{messages, request, tasks};
use crate::backends::context::BackendContext;
use crate::backends::history::{LogCapture, ProcessHistory};
use crate::backends::redactor::Redactor;
use crate::call::{Answer, Backend, Exchange, Request, TaskPages};
use crate::client_streams::ProcessStreams;
use crate::identity_tokens::IdentityTokens;
use crate::launcher::Launcher;
use crate::metrics::{self, DropReason};
use crate::outcome::BackendOutcome;
use crate::subscriptions::{Addressee, WatchedResources};
use crate::trace::{BackendRequest, BackendSpan};
use runtime::outbound::OutboundRules;

/// Seconds after which a call of a backend that is being started is worth another try.
const RETRY_AFTER: u32 = 5;

/// The session of the running child, and what the handshake found out about the child.
pub(super) struct ReadySession {
    pub(super) session: Arc<Session>,
    pub(super) era: Era,
    pub(super) version: Version,
    pub(super) facts: Arc<ServerFacts>,
}

/// A configured server, whether it runs or not.
pub(crate) struct StdioBackend {
    pub(super) name: Arc<str>,
    pub(super) server: Arc<StdioServer>,
    pub(super) redactor: Redactor,
    pub(super) max_output: usize,
    pub(super) launcher: Launcher,
    pub(super) ways: OutboundRules,
    pub(super) tokens: Option<IdentityTokens>,
    /// `None` while no child is ready.
    pub(super) current: ArcSwapOption<ReadySession>,
    pub(super) history: Arc<ProcessHistory>,
    pub(super) odd: Arc<OddLines>,
    pub(super) watched: Arc<WatchedResources>,
    /// The ways to clients beside calls in flight.
    pub(super) streams: ProcessStreams,
    /// Notified when a child is ready.
    started: Notify,
    /// The longest wait of a call for a child that is being started.
    pub(super) wait: Duration,
    /// `None`: calls are not limited.
    slots: Option<Slots>,
}

impl StdioBackend {
    /// Returns a server that does not run yet.
    pub(crate) fn new(server: Arc<StdioServer>, context: &BackendContext, timing: StdioTiming) -> Self {
        let headers = server.remote.iter().flat_map(|remote| &remote.headers).map(|(_, value)| value);
        let secrets = server.env.iter().map(|(_, value)| value).chain(&server.secrets).chain(headers);
        let name: Arc<str> = server.name.as_str().into();
        let history = Arc::new(ProcessHistory::new(context.log_capture, &context.launcher));
        Self {
            odd: Arc::new(OddLines::new(Arc::clone(&name), Arc::clone(&history))),
            name,
            watched: Arc::default(),
            streams: ProcessStreams::shared(context.streams.clone()),
            started: Notify::new(),
            wait: timing.wait,
            slots: server.concurrency.map(Slots::new),
            redactor: context.redactor.with(secrets),
            max_output: context.max_output,
            launcher: context.launcher.clone(),
            ways: context.ways.clone(),
            tokens: context.tokens.clone(),
            current: ArcSwapOption::empty(),
            history,
            server,
        }
    }

    /// Returns the same server for a process of one session or client, which does not run yet; `None`: of one call. It has a history of its
    /// own; odd lines are reported for all processes together.
    pub(super) fn beside(&self, process: Option<Addressee>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            server: Arc::clone(&self.server),
            redactor: self.redactor.clone(),
            max_output: self.max_output,
            launcher: self.launcher.clone(),
            ways: self.ways.clone(),
            tokens: self.tokens.clone(),
            current: ArcSwapOption::empty(),
            history: Arc::new(ProcessHistory::new(LogCapture::Off, &self.launcher)),
            odd: Arc::clone(&self.odd),
            watched: Arc::default(),
            streams: self.streams.of_process(process),
            started: Notify::new(),
            wait: self.wait,
            slots: self.server.concurrency.map(Slots::new),
        }
    }

    /// Returns the history of the server's processes.
    pub(crate) fn history(&self) -> Arc<ProcessHistory> {
        Arc::clone(&self.history)
    }

    /// Sends calls to this session from now on.
    pub(super) fn set_ready(&self, session: ReadySession) {
        if session.era == Era::Legacy {
            session.session.set_legacy();
        }
        self.current.store(Some(Arc::new(session)));
        self.started.notify_waiters();
    }

    /// Returns the version that the running child speaks; `None` while none is ready.
    pub(super) fn version_now(&self) -> Option<Version> {
        self.current.load().as_ref().map(|ready| ready.version)
    }

    /// Returns the session of the running child; waits for one that is being started.
    async fn wait_ready(&self) -> Result<Arc<ReadySession>, Failure> {
        if let Some(ready) = self.current.load_full() {
            return Ok(ready);
        }
        let wait = async {
            loop {
                let mut started = pin!(self.started.notified());
                started.as_mut().enable();
                if let Some(ready) = self.current.load_full() {
                    return ready;
                }
                started.await;
            }
        };
        tokio::time::timeout(self.wait, wait).await.map_err(|_| Failure::BackendFailed {
            backend: self.name.to_string(),
            reason: format!("it is being started, and was not ready within {:?} (BACKEND_WAIT)", self.wait),
            retry_after: Some(RETRY_AFTER),
        })
    }

    /// Lists the tasks of the running child; none while none runs.
    pub(super) async fn list_tasks(&self, deadline: Instant) -> TaskPages {
        match self.current.load_full() {
            Some(ready) => TaskPages {
                generation: ready.session.generation,
                pages: tasks::list(&ready.session, &ready.facts, deadline).await,
            },
            None => TaskPages::default(),
        }
    }

    /// Runs a call on the child.
    pub(super) async fn run(
        &self,
        tool: &str,
        request: &Request,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let mut slot = match &self.slots {
            Some(slots) => Some(slots.take(&self.name).await?),
            None => None,
        };
        let ready = self.wait_ready().await?;
        if ready.era == Era::Legacy && request.has_state() {
            // No server of this era gives one out, and the slave's own have been taken before: the call would begin anew, unasked.
            return Err(Failure::StateLost);
        }
        check_origin(request, ready.session.generation)?;
        exchange.note_generation(ready.session.generation);
        let token = request.progress_token.clone().map(|range| request.message.slice(range));
        let logs = log_reader(request);
        if let LogWish::AtLeast(level) = logs.wish {
            tell_log_level(&ready.session, level).await;
        }
        let mut outbound =
            ready.session.begin(RequestKind::Call { token, logs, task: request.watched_task() })?;
        outbound.cancel_reason = request.cancel_reason.clone();
        let sent = BackendRequest { backend: &self.name, tool, version: ready.version, id: outbound.id };
        let span = BackendSpan::start(request.parent.as_ref(), sent);
        let answer = async {
            let context = span.context();
            let forwarding = Forwarding {
                name: tool,
                id: outbound.id,
                era: ready.era,
                tasks: Tasks::of(request, &ready.facts),
                trace_context: context.as_ref(),
                identity: if self.server.identity {
                    ToldIdentity::of(request)
                } else {
                    ToldIdentity::Nothing
                },
            };
            let message = forward::rewrite(request, &forwarding)
                .map_err(|error| Failure::InvalidParams(error.to_string()))?;
            outbound.send(message).await?;
            if let Some(slot) = &mut slot {
                slot.sent(&ready.session, outbound.id);
            }
            let opened = OpenRequests::new(&ready.session);
            self.receive(&mut outbound, opened, &ready, request, exchange).await
        }
        .await;
        if outbound.has_ended()
            && let Some(slot) = &mut slot
        {
            slot.ended();
        }
        span.finish(BackendOutcome::from(&answer));
        answer
    }

    /// Passes events to the client until the answer arrives; both only if the call may have them.
    async fn receive(
        &self,
        outbound: &mut OutboundRequest,
        mut asked: OpenRequests<'_>,
        ready: &ReadySession,
        request: &Request,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        let token = request.token().and_then(|token| ProgressToken::parse(&token));
        let rules = CallRules { era: request.header.era, label: None, token: token.as_ref() };
        loop {
            let next = tokio::select! {
                biased;
                next = outbound.next() => next,
                answered = asked.answered() => {
                    answered?;
                    exchange.alive();
                    continue;
                }
            };
            let event = match next {
                Incoming::Progress { line, range, token } => {
                    incoming::with_client_token(&line, range, &token)
                }
                Incoming::Log(message) => message,
                Incoming::TaskStatus { line, range } => with_task_id(&line, range, request.subject_json()),
                Incoming::Extension(message) if ready.era == rules.era => message,
                // What it means to a client of the other era, nobody here can say.
                Incoming::Extension(_) => continue,
                Incoming::Request(request) => {
                    asked.ask(request, exchange);
                    continue;
                }
                Incoming::Withdrawn(id) => {
                    asked.forget(&id);
                    continue;
                }
                Incoming::Alive => {
                    exchange.alive();
                    continue;
                }
                Incoming::Result { json, marks } => {
                    let found = Found::read(json, marks, |it| self.check(MessageShape::Result, it, rules))?;
                    let tasks = Tasks::of(request, &ready.facts);
                    let method = &request.header.method;
                    let answer = results::adapt(found, rules.era, ready.era, method, tasks)?;
                    return asked.conclude(answer, rules.era);
                }
                Incoming::Error(error) => {
                    self.check(MessageShape::Error, &error, rules)?;
                    let answer = Answer::error(error);
                    return asked.conclude(answer, rules.era);
                }
                Incoming::Failed(failure) => return Err(failure),
            };
            if self.may_pass(&event, rules) {
                exchange.notify(event).await?;
            }
        }
    }

    /// Returns whether a call may have this event.
    fn may_pass(&self, event: &[u8], rules: CallRules<'_>) -> bool {
        let Err(fault) = MessageCheck::whole(MessageShape::Event, event, rules) else { return true };
        tracing::debug!(backend = &*self.name, "dropped a notification: {fault}");
        metrics::record_backend_drop(&self.name, DropReason::Garbage);
        false
    }

    /// Checks an answer as the proxy will check it.
    fn check(&self, shape: MessageShape, answer: &[u8], rules: CallRules<'_>) -> Result<(), Failure> {
        MessageCheck::whole(shape, answer, rules).map_err(|fault| {
            self.odd.record(LineFault::BadForm, || format!("the call failed: {fault}"));
            Failure::BadAnswer(fault.to_string())
        })
    }
}

/// Refuses a request about a task of another process, which the process of this number may have given the same id.
fn check_origin(request: &Request, generation: u64) -> Result<(), Failure> {
    match &request.task_origin {
        Some(origin) if origin.generation != generation => {
            Err(Failure::UnknownTask("it ended with the process of its backend".into()))
        }
        _ => Ok(()),
    }
}

/// Returns who reads log messages of a call: legacy clients get what the server sends or their session asked for; modern ones ask for
/// them on each request (2026-07-28, Logging).
fn log_reader(request: &Request) -> LogReader {
    let header = &request.header;
    let wish = match (header.era, request.log_level, header.log_level) {
        (Era::Legacy, _, Some(level)) | (Era::Modern, Some(level), _) => LogWish::AtLeast(level),
        (Era::Legacy, _, None) => LogWish::Default,
        (Era::Modern, None, _) => LogWish::None,
    };
    LogReader {
        client: header.client.as_deref().map(Into::into),
        session: header.session.as_deref().map(Into::into),
        wish,
    }
}

/// Tells a legacy child that a client wants messages of this level, if it would not send them. A child that refuses sends what it sends.
async fn tell_log_level(session: &Arc<Session>, level: LogLevel) {
    if !session.log_level.lower_to(level) {
        return;
    }
    if let Ok(mut request) = request::send(session, |id| messages::set_log_level(id, level)).await {
        let backend = Arc::clone(&session.backend);
        tokio::spawn(async move {
            let answer = request.next().await;
            tracing::debug!(
                backend = &*backend,
                level = level.as_str(),
                ?answer,
                "set the level of log messages"
            );
        });
    }
}

impl Backend for StdioBackend {
    fn call<'a>(
        &'a self,
        tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move { self.run(tool, &request, exchange).await })
    }

    fn may_ask(&self) -> bool {
        self.current.load().as_ref().is_none_or(|ready| ready.era == Era::Legacy)
    }

    fn version(&self) -> Option<Version> {
        self.version_now()
    }

    fn carries(&self, facts: &ServerFacts) -> Vec<String> {
        tasks::carried(facts).into_iter().collect()
    }

    fn tasks<'a>(&'a self, _: &'a CallHeader, deadline: Instant) -> BoxFuture<'a, TaskPages> {
        Box::pin(self.list_tasks(deadline))
    }

    fn watched_resources(&self) -> Option<&Arc<WatchedResources>> {
        Some(&self.watched)
    }
}
