//! A configured stdio server as a [`Backend`]: forwards calls to the child that runs at the moment. Must not know how the
//! child is started.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use protocol::mcp::call_message::{CallRules, MessageCheck, MessageShape, ProgressToken};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;

use super::config::StdioServer;
use super::forward::{self, Forwarding};
use super::incoming::{self, Incoming};
use super::log_readers::{LogReader, LogWish};
use super::results;
use super::session::{OutboundRequest, RequestKind, Session};
use super::{messages, request};
use crate::backends::context::BackendContext;
use crate::backends::history::ProcessHistory;
use crate::backends::redactor::Redactor;
use crate::call::{Answer, Backend, Exchange, Request};
use crate::launcher::Launcher;
use crate::metrics::{self, DropReason};
use crate::outcome::BackendOutcome;
use crate::trace::{BackendRequest, BackendSpan};

/// The session of the running child, and what the handshake found out about the child.
pub(super) struct ReadySession {
    pub(super) session: Arc<Session>,
    pub(super) era: Era,
    pub(super) version: Version,
}

/// A configured server, whether it runs or not.
pub(crate) struct StdioBackend {
    pub(super) name: Arc<str>,
    pub(super) server: Arc<StdioServer>,
    pub(super) redactor: Redactor,
    pub(super) max_output: usize,
    pub(super) launcher: Launcher,
    /// `None` while no child is ready.
    pub(super) current: ArcSwapOption<ReadySession>,
    pub(super) history: Arc<ProcessHistory>,
}

/// The eras on both sides of a call.
#[derive(Clone, Copy)]
struct Eras {
    client: Era,
    backend: Era,
}

impl StdioBackend {
    /// Returns a server that does not run yet.
    pub(crate) fn new(server: Arc<StdioServer>, context: &BackendContext) -> Self {
        let secrets = server.env.iter().map(|(_, value)| value).chain(&server.secrets);
        Self {
            name: server.name.as_str().into(),
            redactor: context.redactor.with(secrets),
            max_output: context.max_output,
            launcher: context.launcher.clone(),
            current: ArcSwapOption::empty(),
            history: Arc::new(ProcessHistory::new(context.log_capture, &context.launcher)),
            server,
        }
    }

    /// Returns the history of the server's processes.
    pub(crate) fn history(&self) -> Arc<ProcessHistory> {
        Arc::clone(&self.history)
    }

    async fn run(&self, tool: &str, request: &Request, exchange: &mut Exchange) -> Result<Answer, Failure> {
        let ready = self.current.load_full().ok_or_else(|| Failure::BackendFailed {
            backend: self.name.to_string(),
            reason: "it is not running at the moment".into(),
        })?;
        let eras = Eras { client: request.header.era, backend: ready.era };
        let token = request.progress_token.clone().map(|range| request.message.slice(range));
        let logs = log_reader(request);
        if let LogWish::AtLeast(level) = logs.wish {
            tell_log_level(&ready.session, level).await;
        }
        let mut outbound = ready.session.begin(RequestKind::Call { token, logs })?;
        let sent = BackendRequest { backend: &self.name, tool, version: ready.version, id: outbound.id };
        let span = BackendSpan::start(request.parent.as_ref(), sent);
        let answer = async {
            let context = span.context();
            let forwarding =
                Forwarding { tool, id: outbound.id, era: eras.backend, trace_context: context.as_ref() };
            let message = forward::rewrite(request, &forwarding)
                .map_err(|error| Failure::InvalidParams(error.to_string()))?;
            outbound.send(message).await?;
            let token = request.token().and_then(|token| ProgressToken::parse(&token));
            let rules = CallRules { era: eras.client, token: token.as_ref() };
            self.receive(&mut outbound, eras.backend, rules, exchange).await
        }
        .await;
        span.finish(BackendOutcome::from(&answer));
        answer
    }

    /// Passes events to the client until the answer arrives; both only if the call may have them.
    async fn receive(
        &self,
        outbound: &mut OutboundRequest,
        era: Era,
        rules: CallRules<'_>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        loop {
            let event = match outbound.next().await {
                Incoming::Progress { line, range, token } => {
                    incoming::with_client_token(&line, range, &token)
                }
                Incoming::Log(message) => message,
                Incoming::Alive => {
                    exchange.alive();
                    continue;
                }
                Incoming::Result(result) => {
                    check(MessageShape::Result, &result, rules)?;
                    return Ok(results::adapt(result, rules.era, era));
                }
                Incoming::Error(error) => {
                    check(MessageShape::Error, &error, rules)?;
                    return Ok(Answer { payload: error, error: true, tool_error: false });
                }
                Incoming::Failed(failure) => return Err(failure),
            };
            match MessageCheck::whole(MessageShape::Event, &event, rules) {
                Ok(()) => exchange.notify(event).await?,
                Err(fault) => {
                    tracing::debug!(backend = &*self.name, "dropped a notification: {fault}");
                    metrics::record_backend_drop(&self.name, DropReason::Garbage);
                }
            }
        }
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

/// Checks an answer as the proxy will check it.
fn check(shape: MessageShape, answer: &[u8], rules: CallRules<'_>) -> Result<(), Failure> {
    MessageCheck::whole(shape, answer, rules).map_err(|fault| Failure::BadAnswer(fault.to_string()))
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

    fn version(&self) -> Option<Version> {
        self.current.load().as_ref().map(|ready| ready.version)
    }
}
