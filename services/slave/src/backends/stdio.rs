//! Stdio MCP servers as child processes, shared by all clients: started, greeted in their era, supervised, and ended
//! with everything they started.
//!
//! Must not know links or HTTP. [`supervisor`] owns a child's life, [`session`] its conversation.

mod child;
mod errors_log;
mod handshake;
mod incoming;
mod messages;
mod probe;
mod results;
mod session;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use runtime::secret::Secret;

use super::diary::{Diary, Lines};
use super::mask::Mask;
use super::{Answer, Backend, Leaving, Stopping};
use crate::executor::{CallSink, Registry, SlotId, ToolCall};
use crate::outcome::BackendOutcome;
use crate::trace::{BackendRequest, BackendSpan};
use incoming::Incoming;
use session::{Exchange, Kind, Session};
use supervisor::Supervisor;

/// One entry of an `mcpServers` file, checked and with its variables filled in.
#[derive(Clone, Debug, Default)]
pub struct StdioServer {
    /// Its key in the file.
    pub name: String,
    /// Executable: a path, or a name to be found on PATH.
    pub command: String,
    /// Arguments as they are given to the executable; no shell reads them.
    pub args: Vec<String>,
    /// Variables in addition to [`super::environment::SAFE`]. All values count as secrets.
    pub env: Vec<(String, Secret)>,
    /// Other values that must not appear in logs: variables that were filled in elsewhere in the entry.
    pub masked: Vec<Secret>,
    /// Working directory; unset: the slave's own.
    pub cwd: Option<PathBuf>,
}

/// How patient a slave is with its stdio servers.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Silence after `server/discover` that means a legacy server.
    pub probe: Duration,
    /// From its start until its tools are listed. Generous: `npx` may download the server first.
    pub start: Duration,
    /// Upper end of the first pause before a restart.
    pub restart_first: Duration,
    /// Upper end of all later pauses.
    pub restart_cap: Duration,
    /// A child that ran for so long starts the pauses over.
    pub stable: Duration,
    /// How often a child is asked whether it still answers (`SLAVE_PROBE_INTERVAL`); `None`: never.
    pub check: Option<Duration>,
    /// Between closing standard input, SIGTERM and SIGKILL, when a child is given up.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(3),
            start: Duration::from_mins(2),
            restart_first: Duration::from_millis(500),
            restart_cap: Duration::from_secs(30),
            stable: Duration::from_mins(1),
            check: None,
            patience: Duration::from_secs(2),
        }
    }
}

/// The child that runs at the moment.
struct Live {
    session: Arc<Session>,
    era: Era,
    version: Version,
}

impl StdioServer {
    /// Whether both are run in the same way: a running one need not be touched for the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        // What is masked stands in the other members.
        let Self { name, command, args, env, cwd, masked: _ } = self;
        let same = |((name, value), other): (&(String, Secret), &(String, Secret))| {
            *name == other.0 && value.expose() == other.1.expose()
        };
        *name == other.name
            && *command == other.command
            && *args == other.args
            && *cwd == other.cwd
            && env.len() == other.env.len()
            && env.iter().zip(&other.env).all(same)
    }
}

/// One configured server, whether it runs or not.
struct StdioBackend {
    name: Arc<str>,
    server: Arc<StdioServer>,
    mask: Mask,
    max_output: usize,
    current: ArcSwapOption<Live>,
    diary: Diary,
}

/// What all backends share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) registry: Arc<Registry>,
    pub(super) stopping: Stopping,
    pub(super) mask: Mask,
    pub(super) max_output: usize,
    pub(super) pace: Pace,
    pub(super) lines: Lines,
}

/// Puts a server into the registry and starts it in the background. It has the place of `instead_of` as soon as it is
/// ready.
pub(super) fn start(server: Arc<StdioServer>, instead_of: Option<SlotId>, around: &Surroundings) -> SlotId {
    let mask = around.mask.with(server.env.iter().map(|(_, value)| value).chain(&server.masked));
    let backend = Arc::new(StdioBackend {
        name: server.name.as_str().into(),
        server,
        mask,
        max_output: around.max_output,
        current: ArcSwapOption::empty(),
        diary: Diary::new(around.lines),
    });
    let (registry, shared) = (&around.registry, Arc::clone(&backend) as Arc<dyn Backend>);
    let slot = match instead_of {
        Some(old) => registry.stand_by(&backend.name, shared, old),
        None => registry.add(&backend.name, shared),
    };
    let supervisor = Supervisor {
        backend,
        registry: Arc::clone(registry),
        slot,
        leaving: Leaving::new(around.stopping.clone(), registry.users(slot)),
        pace: around.pace,
    };
    around.stopping.spawn(supervisor.run());
    slot
}

impl StdioBackend {
    async fn run(&self, call: &ToolCall, tool: &str, events: &mut dyn CallSink) -> Result<Answer, Failure> {
        let live = self.current.load_full().ok_or_else(|| Failure::BackendFailed {
            backend: self.name.to_string(),
            reason: "it is not running at the moment".into(),
        })?;
        let client = call.header.era;
        let token = call.progress_token.clone().map(|place| call.message.slice(place));
        // Legacy clients get what the backend says; modern ones ask for it (2026-07-28, Logging).
        let logs = client == Era::Legacy || call.has_log_level;
        let mut exchange = live.session.begin(Kind::Call { token, logs })?;
        let request = BackendRequest { backend: &self.name, tool, version: live.version, id: exchange.id };
        let asked = BackendSpan::start(call.parent.as_ref(), request);
        let answer = async {
            let message = messages::forward(call, tool, (exchange.id, live.era), asked.context().as_ref())
                .map_err(|error| Failure::InvalidParams(error.to_string()))?;
            exchange.send(message).await?;
            self.listen(&mut exchange, (client, live.era), events).await
        }
        .await;
        asked.finish(BackendOutcome::from(&answer));
        answer
    }

    async fn listen(
        &self,
        exchange: &mut Exchange,
        (client, era): (Era, Era),
        events: &mut dyn CallSink,
    ) -> Result<Answer, Failure> {
        loop {
            let event = match exchange.next().await {
                Incoming::Progress { line, place, token } => incoming::restored(&line, place, &token),
                Incoming::Log(message) => message,
                Incoming::Result(result) => return Ok(results::adapt(result, client, era)),
                Incoming::Error(error) => {
                    return Ok(Answer { payload: error, error: true, tool_error: false });
                }
                Incoming::Failed(failure) => return Err(failure),
            };
            events.event(event, false).await.map_err(|_| Failure::Cancelled)?;
        }
    }
}

impl Backend for StdioBackend {
    fn call<'a>(
        &'a self,
        call: &'a ToolCall,
        tool: &'a str,
        events: &'a mut dyn CallSink,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(self.run(call, tool, events))
    }

    fn speaks(&self) -> Option<Version> {
        self.current.load().as_ref().map(|live| live.version)
    }

    fn diary(&self) -> Option<&Diary> {
        Some(&self.diary)
    }
}
