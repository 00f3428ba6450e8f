//! Runs calls on backends: admission, deadline, cancellation and one end for each, whatever happens.
//!
//! Must not know links, journals or HTTP: whoever reads a call hands in a [`CallSink`].

mod admission;
mod call;
mod param_headers;
mod registry;
mod running;
mod seen;
mod sink;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::link::header::CallHeader;
use protocol::mcp::catalog::Catalog;
use runtime::activity::{Activity, Preview};
use runtime::secret::Secret;
use tokio::sync::watch;

use crate::backends::diary::{Lines, Page};
use crate::backends::pilot::PilotConfig;
use crate::backends::stdio::{Pace, StdioServer};
use crate::backends::{self, Replaced, Servers, Stopping};
use crate::metrics::ToolMeter;
use crate::trace::CallTrace;
use admission::Admission;
pub(crate) use call::ToolCall;
pub use registry::{BackendState, State};
pub(crate) use registry::{Registry, SlotId};
pub use sink::{CallEnd, CallHandle, CallSink, SinkClosed};

/// What a slave runs and within which bounds.
#[derive(Debug)]
pub struct ExecutorConfig {
    /// Stdio MCP servers, from the `mcpServers` file ([`crate::backends::servers_file::read`]).
    pub servers: Vec<StdioServer>,
    /// The `review_merge_request` tool.
    pub pilot: PilotConfig,
    /// Whether `echo`, `sleep`, `payload` and `fail` are offered (`DEMO_TOOLS`).
    pub demo_tools: bool,
    /// Name of a tool that does what `echo` does, to be the only one.
    pub probe_tool: Option<String>,
    /// Calls at once (`SLAVE_CAPACITY`); 0: no limit. As many again may wait for a short while.
    pub capacity: usize,
    /// Bytes of one message or report of a backend (`MAX_OUTPUT_BYTES`).
    pub max_output: usize,
    /// Values that must appear in no log and no error text: codes, keys and tokens of this slave.
    pub secrets: Vec<Secret>,
    /// How patient the slave is with its stdio servers.
    pub pace: Pace,
    /// Where calls are written down, if they are.
    pub activity: Activity,
    /// Whether the last lines of backends' standard error are kept.
    pub lines: Lines,
}

impl Default for ExecutorConfig {
    /// No tools at all, and the bounds of an unconfigured slave.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            pilot: PilotConfig::default(),
            demo_tools: false,
            probe_tool: None,
            capacity: 0,
            max_output: 64 * 1024 * 1024,
            secrets: Vec::new(),
            pace: Pace::default(),
            activity: Activity::new("backend", Preview::No),
            lines: Lines::default(),
        }
    }
}

struct Shared {
    registry: Arc<Registry>,
    admission: Admission,
    stopping: Stopping,
    activity: Activity,
    servers: Servers,
}

/// Runs calls. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

impl Executor {
    /// Starts the backends in the background and returns at once: a slow one delays nothing but its own tools.
    /// Call it within a Tokio runtime, after the metrics recorder is installed.
    // Async by agreement with its callers: starting may come to wait for something (a lock file, a socket).
    #[allow(clippy::unused_async)]
    pub async fn start(config: ExecutorConfig) -> Self {
        let (admission, activity) = (Admission::new(config.capacity), config.activity.clone());
        let registry = Arc::new(Registry::default());
        let (stopping, servers) = backends::start_all(config, &registry);
        Self { shared: Arc::new(Shared { registry, admission, stopping, activity, servers }) }
    }

    /// Runs these stdio servers in place of those of before. Unchanged ones go on untouched, removed ones end after
    /// their calls, changed ones after their successors are ready and their calls have ended. Returns at once.
    pub fn set_servers(&self, servers: Vec<StdioServer>) -> Replaced {
        self.shared.servers.replace(servers)
    }

    /// What is offered now, and its changes. The first value may be empty: backends come up in their own time.
    pub fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.shared.registry.catalog()
    }

    /// Runs one call in its own task. `message` is the client's whole JSON-RPC request.
    ///
    /// The sink gets events, then exactly one end, also for calls that cannot run at all. The call's deadline
    /// (`header.timeout_ms` from now; 0: none) is kept here too, whatever the reader does.
    pub fn run(&self, header: CallHeader, message: Bytes, sink: Box<dyn CallSink>) -> CallHandle {
        let (handle, cancelled) = CallHandle::new();
        let mut trace = CallTrace::start(&header, if sink.origin().is_some() { "websocket" } else { "http" });
        let subject = sink.subject().map(|subject| subject.in_trace(trace.id(&header)));
        if let Some(subject) = subject {
            trace.set_log_context(subject);
        }
        let job = running::Job { header, message, cancelled, trace };
        let run = running::run(Arc::clone(&self.shared), job, sink);
        match subject {
            Some(subject) => tokio::spawn(subject.in_scope(run)),
            None => tokio::spawn(run),
        };
        handle
    }

    /// Takes no new call and stops every backend with its whole process group. Calls that still run end with an
    /// error. Returns when all are gone: after `grace` they were killed.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.stopping.stop(grace).await;
    }

    /// The series of a tool of the catalog.
    pub(crate) fn meters(&self, tool: &str) -> Option<Arc<ToolMeter>> {
        self.shared.registry.route(tool).ok().map(|route| Arc::clone(&route.meters))
    }

    /// Every backend with its state, in the order of the configuration.
    pub fn backend_states(&self) -> Vec<BackendState> {
        self.shared.registry.states()
    }

    /// The same, each with what is written down of its process, if it has one.
    pub(crate) fn backends(&self) -> Vec<(BackendState, Option<Page>)> {
        self.shared.registry.look()
    }

    /// Calls that are written down.
    pub(crate) fn activity(&self) -> &Activity {
        &self.shared.activity
    }

    /// Waits until no backend is in its first start any more. Bound it with a timeout.
    pub async fn settled(&self) {
        self.shared.registry.settled().await;
    }
}
