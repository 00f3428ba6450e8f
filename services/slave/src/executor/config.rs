//! The configuration of the executor. Must not know where it comes from.

use std::sync::Arc;
use std::time::Duration;

use policy::PolicyStore;
use runtime::activity::{Activity, Preview};
use runtime::outbound::OutboundRules;
use runtime::secret::Secret;

use crate::backends::commands::CommandTool;
use crate::backends::history::LogCapture;
use crate::backends::pilot::PilotConfig;
use crate::backends::stdio::{StdioServer, StdioTiming};
use crate::identity_tokens::IdentityTokens;
use crate::launcher::Launcher;
use crate::retention::RetentionLimits;

/// The backends of a slave and their limits.
#[derive(Debug)]
pub struct ExecutorConfig {
    /// Stdio MCP servers, from the `mcpServers` file ([`crate::backends::servers_file::read`]).
    pub servers: Vec<StdioServer>,
    /// Tools that are commands, from the tools file ([`crate::backends::commands::file::read`]); `None`: there is no such file.
    pub tools: Option<Vec<Arc<CommandTool>>>,
    /// The `review_merge_request` tool.
    pub pilot: PilotConfig,
    /// Whether `echo`, `sleep`, `payload` and `fail` are offered (`DEMO_TOOLS`).
    pub demo_tools: bool,
    /// The name of a tool that echoes; it then is the only tool.
    pub probe_tool: Option<String>,
    /// Who may call what (`SLAVE_POLICY`); `None`: every call is taken.
    pub policy: Option<PolicyStore>,
    /// Calls that run at once (`SLAVE_CAPACITY`); 0: no limit. As many again may wait for a short while.
    pub capacity: usize,
    /// Bytes of one message or report of a backend (`MAX_OUTPUT_BYTES`).
    pub max_output: usize,
    /// The longest time that a call waits for its client's answers (`PARKED_TTL`).
    pub parked_ttl: Duration,
    /// Values that must appear in no log and no error text: codes, keys and tokens of this slave.
    pub secrets: Vec<Secret>,
    /// Timeouts and pauses in the supervision of stdio servers.
    pub timing: StdioTiming,
    /// The log of calls.
    pub activity: Activity,
    /// Whether the last lines of backends' standard error are kept.
    pub log_capture: LogCapture,
    /// What is kept of calls for clients that come back.
    pub retention: RetentionLimits,
    /// The program that starts backends.
    pub launcher: Launcher,
    /// The forward proxies on the way to HTTP servers.
    pub ways: OutboundRules,
    /// Signs tokens for HTTP servers that are told who the client of a request is.
    pub identity_tokens: Option<IdentityTokens>,
}

impl Default for ExecutorConfig {
    /// Returns a configuration without tools, with the limits of an unconfigured slave.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            tools: None,
            pilot: PilotConfig::default(),
            demo_tools: false,
            probe_tool: None,
            policy: None,
            capacity: 0,
            max_output: 64 * 1024 * 1024,
            parked_ttl: Duration::from_mins(10),
            secrets: Vec::new(),
            timing: StdioTiming::default(),
            activity: Activity::new("backend", Preview::No),
            log_capture: LogCapture::default(),
            retention: RetentionLimits::default(),
            launcher: Launcher::default(),
            ways: OutboundRules::default(),
            identity_tokens: None,
        }
    }
}
