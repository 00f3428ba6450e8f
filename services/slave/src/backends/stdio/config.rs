//! The configuration of a stdio MCP server, and the timing that all of them share. Must not know processes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use runtime::secret::Secret;

use super::sharing::Sharing;
use crate::backends::Curation;
use crate::backends::mcp_http::HttpServer;
use crate::launcher::Confinement;

/// An entry of an `mcpServers` file, checked and with its variables filled in.
#[derive(Clone, Debug, Default)]
pub struct StdioServer {
    /// The key of the entry in the file.
    pub name: String,
    /// The executable: a path, or a name to be found on PATH.
    pub command: String,
    /// Arguments as they are given to the executable; no shell reads them.
    pub args: Vec<String>,
    /// Variables in addition to [`INHERITED`](crate::backends::environment::INHERITED). All values count as secrets.
    pub env: Vec<(String, Secret)>,
    /// Other values that must not appear in logs: variables that were filled in elsewhere in the entry.
    pub secrets: Vec<Secret>,
    /// The working directory; `None`: the slave's own.
    pub cwd: Option<PathBuf>,
    /// What the process is confined to.
    pub confinement: Confinement,
    /// Calls that each process runs at once; `None`: no limit.
    pub concurrency: Option<NonZeroUsize>,
    /// Whether it is told who the client of a call is.
    pub identity: bool,
    /// How clients share its processes.
    pub sharing: Sharing,
    /// What of it is offered, and how.
    pub curation: Curation,
    /// The server that is reached over HTTP in place of a process; what concerns processes is empty then.
    pub remote: Option<HttpServer>,
}

impl StdioServer {
    /// Returns whether both are run in the same way, so that a running one need not be replaced by the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // The secrets are parts of the other members.
        let Self {
            name,
            command,
            args,
            env,
            cwd,
            confinement,
            concurrency,
            identity,
            sharing,
            curation,
            remote,
            secrets: _,
        } = self;
        let same = |((name, value), other): (&(String, Secret), &(String, Secret))| {
            *name == other.0 && value.expose() == other.1.expose()
        };
        *name == other.name
            && *command == other.command
            && *args == other.args
            && *cwd == other.cwd
            && *confinement == other.confinement
            && *concurrency == other.concurrency
            && *identity == other.identity
            && *sharing == other.sharing
            && *curation == other.curation
            && match (remote, &other.remote) {
                (Some(one), Some(two)) => one.is_same(two),
                (one, two) => one.is_none() && two.is_none(),
            }
            && env.len() == other.env.len()
            && env.iter().zip(&other.env).all(same)
    }
}

/// Timeouts and pauses in the supervision of stdio servers.
#[derive(Clone, Copy, Debug)]
pub struct StdioTiming {
    /// Silence after `server/discover` that means a legacy server.
    pub probe: Duration,
    /// The time from a start until the tools are listed (`BACKEND_START_TIMEOUT`). Generous: `npx` may download the server first.
    pub start: Duration,
    /// The time after which a start that is still under way is said to be slow.
    pub slow: Duration,
    /// The longest wait of a call for a backend that is being started (`BACKEND_WAIT`).
    pub wait: Duration,
    /// Upper end of the first pause before a restart.
    pub restart_first: Duration,
    /// Upper end of all later pauses.
    pub restart_cap: Duration,
    /// Running time after which the next failure begins with the first pause again.
    pub stable: Duration,
    /// Time between two health checks (`SLAVE_PROBE_INTERVAL`); `None`: no checks.
    pub check: Option<Duration>,
    /// Time between closing standard input, SIGTERM and SIGKILL, when a child is ended.
    pub stop_grace: Duration,
}

impl Default for StdioTiming {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(3),
            start: Duration::from_mins(2),
            slow: Duration::from_secs(5),
            wait: Duration::from_secs(10),
            restart_first: Duration::from_millis(500),
            restart_cap: Duration::from_secs(30),
            stable: Duration::from_mins(1),
            check: None,
            stop_grace: Duration::from_secs(2),
        }
    }
}
