//! The executor: runs calls on backends, with a concurrency limit, a deadline, cancellation and exactly one end for each.
//!
//! Must not know links, journals or HTTP: the reader of a call hands in a [`CallSink`].

mod call_log;
mod command_tools;
mod config;
mod inboxes;
mod launch;
mod limit;
mod listen;
mod offer;
mod param_headers;
mod permission;
mod recording;
mod registry;
mod retries;
mod runner;
mod stdio_servers;
mod task_lists;
mod timeouts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::catalog::Catalog;
use protocol::mcp::log_level::LogLevel;
use runtime::activity::Activity;
use tokio::sync::watch;

pub use crate::backends::BackendState;
use crate::backends::commands::{CommandTool, ToolChanges};
use crate::backends::history::HistorySnapshot;
use crate::backends::stdio::StdioServer;
use crate::bridge::{ParkedCalls, TaskIds};
use crate::call::{BegunCall, CallEnd, CallHandle, CallSink, Execute};
use crate::client_streams::ClientStreams;
use crate::metrics::ToolMeter;
use crate::retention::Retention;
use crate::trace::CallTrace;
use command_tools::CommandTools;
pub use config::ExecutorConfig;
use launch::Started;
use limit::ConcurrencyLimit;
use listen::Listeners;
pub use offer::{BackendOffer, Offer};
use permission::CallPolicy;
use registry::BackendRegistry;
pub use registry::BackendSnapshot;
use runner::{CallRunner, IncomingCall};
pub use stdio_servers::ReloadSummary;
use stdio_servers::StdioServers;
use task_lists::{TaskLists, is_task_list};

/// What a backend's process has said beside its answers, redacted as in the log and bounded; empty where
/// [`ExecutorConfig::log_capture`] keeps no lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The last lines of standard error, oldest first.
    pub lines: Vec<String>,
    /// The last fault of a line of standard output, with what became of it.
    pub line_fault: Option<String>,
}

/// The executor of one slave. Cheap to clone; all clones share the same backends.
#[derive(Clone)]
pub struct Executor {
    runner: Arc<CallRunner>,
    servers: Arc<StdioServers>,
    tools: Option<Arc<CommandTools>>,
    retention: Arc<Retention>,
}

impl Executor {
    /// Starts the backends in the background and returns at once: a slow backend delays nothing but its own tools.
    /// Must be called within a Tokio runtime, after the metrics recorder is installed.
    // Async by agreement with its callers: starting may come to wait for something (a lock file, a socket).
    #[allow(clippy::unused_async)]
    pub async fn start(config: ExecutorConfig) -> Self {
        let (limit, activity) = (ConcurrencyLimit::new(config.capacity), config.activity.clone());
        let (wait, parked_ttl) = (config.timing.wait, config.parked_ttl);
        let policy = CallPolicy::new(config.policy.clone());
        let retention = Retention::new(config.retention);
        retention.follow_time();
        let (registry, streams) = (Arc::new(BackendRegistry::default()), ClientStreams::default());
        let Started { shutdown, servers, tools } = launch::start_backends(config, &registry, streams.clone());
        registry.all_added();
        let (tasks, owners) = (Arc::new(TaskIds::random()), streams.owners);
        let listeners = Listeners::new(
            Arc::clone(&registry),
            streams.sessions,
            Arc::clone(&tasks),
            Arc::clone(&owners),
            policy.clone(),
        );
        let task_lists = Arc::new(TaskLists {
            registry: Arc::clone(&registry),
            ids: Arc::clone(&tasks),
            owners: Arc::clone(&owners),
            policy: policy.clone(),
        });
        let runner = CallRunner {
            registry,
            limit,
            shutdown,
            activity,
            wait,
            parked: ParkedCalls::new(parked_ttl),
            asks: Arc::default(),
            tasks,
            owners,
            task_lists,
            policy,
            log_levels: Mutex::default(),
            listeners,
        };
        let (runner, tools) = (Arc::new(runner), tools.map(Arc::new));
        Self { runner, servers: Arc::new(servers), tools, retention }
    }

    /// Replaces the stdio servers. Unchanged ones go on untouched, removed ones end after their calls, changed ones after
    /// their successors are ready and their calls have ended. Those of the names in `kept` stay as they are. Returns at once.
    pub fn set_servers(&self, servers: Vec<StdioServer>, kept: &[String]) -> ReloadSummary {
        self.servers.replace(servers, kept)
    }

    /// Replaces the tools that are commands, except for those of the names in `kept`. Calls that run go on as they began. Does
    /// nothing where the slave was started without such tools.
    pub fn set_tools(&self, tools: Vec<Arc<CommandTool>>, kept: &[String]) -> ToolChanges {
        self.tools.as_ref().map(|known| known.replace(tools, kept)).unwrap_or_default()
    }

    /// Returns the catalog and its changes. The first value may be empty: backends start in the background.
    pub fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.runner.registry.catalog()
    }

    /// Returns what each backend offers, and its changes. It is complete once every backend has reported or failed.
    pub fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.runner.registry.offer()
    }

    /// Runs one call in a task of its own. `message` is the client's whole JSON-RPC request.
    ///
    /// The sink gets events, then exactly one end, also for calls that cannot run at all. The executor enforces the
    /// header's timeouts by itself.
    pub fn run(&self, header: CallHeader, message: Bytes, sink: Box<dyn CallSink>) -> CallHandle {
        let BegunCall { handle, run } = self.begin(header, message, sink);
        if let Some(run) = run {
            tokio::spawn(run);
        }
        handle
    }

    fn begin(&self, header: CallHeader, message: Bytes, sink: Box<dyn CallSink>) -> BegunCall {
        let (handle, cancelled) = CallHandle::new();
        if header.purpose == Purpose::Reply {
            let end = match self.runner.asks.reply(&header, &message) {
                Ok(()) => CallEnd::empty(),
                Err(failure) => CallEnd::failed(&failure, header.era),
            };
            sink.end(end);
            return BegunCall { handle, run: None };
        }
        if header.purpose == Purpose::Post {
            sink.end(self.runner.listeners.post(&header, &message));
            return BegunCall { handle, run: None };
        }
        if is_task_list(&header) {
            let lists = Arc::clone(&self.runner.task_lists);
            return BegunCall { handle, run: Some(Box::pin(lists.serve(header, message, cancelled, sink))) };
        }
        let mut trace = CallTrace::start(&header, if sink.origin().is_some() { "websocket" } else { "http" });
        let context = sink.log_context().map(|context| context.in_trace(trace.id(&header)));
        if let Some(context) = context {
            trace.set_log_context(context);
        }
        let call = IncomingCall { header, message, cancelled, reason: handle.reason(), trace };
        // Boxed: its several kilobytes would be copied at each step of spawning a task.
        let run = Arc::clone(&self.runner).serve(call, sink);
        let run: BoxFuture<'static, ()> = match context {
            Some(context) => Box::pin(context.in_scope(run)),
            None => Box::pin(run),
        };
        BegunCall { handle, run: Some(run) }
    }

    /// Returns what is kept of calls for clients that come back.
    pub(crate) fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    /// Sets the level of log messages that a client's session wants from now on.
    pub(crate) fn set_log_level(&self, session: &str, level: LogLevel) {
        self.runner.log_levels.lock().set(session, level);
    }

    /// Forgets what is kept for a session that its client ended.
    pub(crate) fn end_session(&self, session: &str) {
        self.runner.log_levels.lock().remove(session);
        self.retention.end_session(session);
        self.runner.listeners.end_session(session);
        self.runner.registry.end_session(session);
    }

    /// Passes a notification of a session's client to backends that run for this session alone.
    pub(crate) fn notify(&self, session: &str, message: &Bytes) {
        self.runner.registry.notify(session, message);
    }

    /// Ends all calls that listen, now and later: the slave goes down.
    pub(crate) fn end_listening(&self) {
        self.runner.listeners.close();
    }

    /// Returns the number of subscriptions that legacy sessions have.
    pub(crate) fn session_subscriptions(&self) -> usize {
        self.runner.listeners.session_subscriptions()
    }

    /// Takes no new call and stops every backend with its whole process group. Calls that still run end with an error.
    /// Returns when all processes are gone; those left after `grace` are killed.
    pub async fn shutdown(&self, grace: Duration) {
        self.runner.shutdown.stop(grace).await;
    }

    /// Returns the metrics of a tool of the catalog.
    pub(crate) fn meters(&self, tool: &str) -> Option<Arc<ToolMeter>> {
        self.runner.registry.meters(tool)
    }

    /// Returns every backend with its state, in the order of the configuration.
    pub fn backend_states(&self) -> Vec<BackendSnapshot> {
        self.runner.registry.states()
    }

    /// Returns every backend with its state and the history of its process, if it has one.
    pub(crate) fn backends(&self) -> Vec<(BackendSnapshot, Option<HistorySnapshot>)> {
        self.runner.registry.snapshots()
    }

    /// Returns every backend with its state and what its process has said, in the order of the configuration.
    pub fn evidence(&self) -> Vec<(BackendSnapshot, Evidence)> {
        let of = |history: HistorySnapshot| Evidence {
            lines: history.lines.into_iter().flatten().map(|line| line.text).collect(),
            line_fault: history.line_fault,
        };
        let backends = self.backends().into_iter();
        backends.map(|(state, history)| (state, history.map(of).unwrap_or_default())).collect()
    }

    /// Returns the log of calls.
    pub(crate) fn activity(&self) -> &Activity {
        &self.runner.activity
    }

    /// Waits until no backend is in its first start any more. Cancel-safe; callers set a timeout.
    pub async fn settled(&self) {
        self.runner.registry.settled().await;
    }
}

impl Execute for Executor {
    fn execute(&self, header: CallHeader, message: Bytes, sink: Box<dyn CallSink>) -> BegunCall {
        self.begin(header, message, sink)
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        Self::set_log_level(self, session, level);
    }

    fn notify(&self, session: &str, message: Bytes) {
        Self::notify(self, session, &message);
    }

    fn end_session(&self, session: &str) {
        Self::end_session(self, session);
    }

    fn unsubscribe(&self, session: &str, uri: &str) {
        self.runner.listeners.unsubscribe(session, uri);
    }
}
