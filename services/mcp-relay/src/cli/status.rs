//! Command line of `mcp-relay status`. Must not know the status document.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `mcp-relay status`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct StatusArgs {
    /// Repeat every two seconds, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// URL of the server to ask
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// PEM file of the trusted roots for an https URL, instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Variable that holds the key, instead of `OPS_KEYS` and `AUTH_BEARER_KEYS`
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_env: Option<String>,
    /// Print the JSON document, one line for each request
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) const ABOUT: &str = "\
Asks a running proxy, slave or standalone server for /api/v1/status and shows it: a proxy's slaves with state, round
trip and calls; a slave's links and backends with the last lines of their standard error; running calls and those that
ended last (with UI=1 on the server). The server is that of this environment, at OPS_HOST:OPS_PORT or else
MCP_SERVER_HOST:MCP_SERVER_PORT, unless --url names another; the key is the first of OPS_KEYS, or else of
AUTH_BEARER_KEYS. On a terminal, tables have its width and long cells are cut; --json has everything.";

pub(super) const HELP: &str = "\
Variables:
  MCP_SERVER_HOST [default: 127.0.0.1]
  MCP_SERVER_PORT [default: 8000]
  OPS_HOST [default: MCP_SERVER_HOST]
  OPS_PORT [default: MCP_SERVER_PORT]
  OPS_KEYS, OPS_KEYS_FILE [default: AUTH_BEARER_KEYS, AUTH_BEARER_KEYS_FILE]
  AUTH_BEARER_KEYS, AUTH_BEARER_KEYS_FILE [default: none]

Examples:
  mcp-relay status --watch
  MCP_SERVER_PORT=9000 mcp-relay status
  mcp-relay status --url http://relay:8000 --json
  mcp-relay status --url https://relay.example --ca-file ca.pem --key-env TEAM_KEY

Exit codes:
  0   shown
  1   the server cannot be asked
  64  the command line needs correction";
