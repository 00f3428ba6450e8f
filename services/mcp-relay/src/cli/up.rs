//! Command lines of `mcp-relay up`, `mcp-relay share` and `mcp-relay import`. Must not know what the commands do.

use std::path::PathBuf;

use clap::Args;

/// Whose tools are served.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Servers {
    /// The `mcpServers` file of an MCP client
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Command that starts a stdio MCP server
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Arguments of `mcp-relay up`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Up {
    /// Port of loopback [default: `MCP_SERVER_PORT`, else 8000]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Variable of this environment that the command gets; may be given several times
    #[arg(long = "env", value_name = "VARIABLE", conflicts_with = "file")]
    pub(crate) variables: Vec<String>,
    /// Whose tools are served.
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// Arguments of `mcp-relay share`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Share {
    /// The proxy's address for slaves: ws:// or wss:// [default: `PROXY_SERVER_URL`]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// File with the slave's code [default: `SLAVE_CODE` or `SLAVE_CODE_FILE`]
    #[arg(long, value_name = "FILE")]
    pub(crate) code_file: Option<PathBuf>,
    /// Name of the slave [default: `SLAVE_NAME`, else the host's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Variable of this environment that the command gets; may be given several times
    #[arg(long = "env", value_name = "VARIABLE", conflicts_with = "file")]
    pub(crate) variables: Vec<String>,
    /// Whose tools are served.
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// Arguments of `mcp-relay import`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Import {
    /// File of an MCP client: Claude Desktop, Claude Code, Cursor, VS Code
    pub(crate) file: PathBuf,
    /// Import only this server; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Put them into this file (`SLAVE_BACKENDS`), instead of printing them
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<PathBuf>,
    /// With --into: print the file as it would be, and change nothing
    #[arg(long, requires = "into")]
    pub(crate) dry_run: bool,
}

pub(super) const UP_ABOUT: &str = "\
Serves the tools of a command, or of an mcpServers file, at http://127.0.0.1:8000/mcp, and prints what each client
needs. The quickest way from a stdio server to a URL on this machine, in one process and without a link: what the
standalone server does. To serve tools of another machine, run a proxy and there `mcp-relay share`.

The command is started without a shell and confined, with a few variables of this environment (PATH, HOME, the
language, proxies, certificates) and those of --env.";

pub(super) const UP_HELP: &str = "\
Variables: those of `mcp-relay --help`; AUTH_BEARER_KEYS asks clients for a key.

Examples:
  mcp-relay up -- npx -y @modelcontextprotocol/server-everything
  GITHUB_TOKEN=… mcp-relay up --env GITHUB_TOKEN -- npx -y some-server
  mcp-relay up --port 8123 --file ~/.cursor/mcp.json

Exit codes:
  0   ended as asked (SIGINT, SIGTERM)
  1   failed at run time, for example because the port is in use
  64  the command line, the configuration or the file needs correction; nothing was started";

pub(super) const SHARE_ABOUT: &str = "\
Offers the tools of a command, or of an mcpServers file, through a proxy: a slave for the time that this command runs.
It dials out, reconnects automatically and needs no inbound port.

The command is started without a shell and confined, with a few variables of this environment (PATH, HOME, the
language, proxies, certificates) and those of --env. The code is never on the command line.";

pub(super) const SHARE_HELP: &str = "\
Variables: those of `mcp-relay slave --help`.

Examples:
  mcp-relay share --to wss://relay.example --code-file ~/.mcp-relay-code -- npx -y some-server
  SLAVE_CODE=… mcp-relay share --to ws://127.0.0.1:8001 --name laptop --file mcp.json

Exit codes:
  0   ended as asked (SIGINT, SIGTERM)
  1   failed at run time
  64  the command line, the configuration or the file needs correction; nothing was started";

pub(super) const IMPORT_ABOUT: &str = "\
Imports the servers of an MCP client's file (mcpServers, VS Code's servers, or mcp.servers of its settings; comments
are allowed) into the file of a slave (SLAVE_BACKENDS), or prints them. Servers that are turned off, and those that a
slave cannot use, are left out and named. VS Code's ${input:name} becomes the variable ${NAME}.

Values are copied unchanged: keys in the client's file are also in the new file, which only its owner can read.";

pub(super) const IMPORT_HELP: &str = "\
Examples:
  mcp-relay import ~/.cursor/mcp.json
  mcp-relay import .vscode/mcp.json --only github --into mcp.json
  mcp-relay import '~/Library/Application Support/Claude/claude_desktop_config.json' --into mcp.json --dry-run

Exit codes:
  0   the servers were printed or written
  1   the file cannot be written
  64  the command line or a file needs correction; nothing was changed";
