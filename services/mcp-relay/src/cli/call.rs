//! Command lines of `mcp-relay call` and `mcp-relay install`. Must not know what the commands do.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use protocol::mcp::era::Era;

/// Arguments of `mcp-relay call`.
#[derive(Clone, Debug, PartialEq, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and clap checks which go together"
)]
pub(crate) struct Call {
    /// Tool, as `--list` names it
    #[arg(required_unless_present = "list")]
    pub(crate) tool: Option<String>,
    /// Arguments: a JSON object, @file, or @- for standard input
    #[arg(long, value_name = "JSON", conflicts_with = "list")]
    pub(crate) arguments: Option<String>,
    /// List the tools instead of calling one
    #[arg(long, conflicts_with = "tool")]
    pub(crate) list: bool,
    /// MCP server, with /mcp where no path is given
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Version family of MCP that the client speaks
    #[arg(long, default_value = "modern", value_parser = eras())]
    pub(crate) era: Era,
    /// Variable that holds the key, instead of `AUTH_BEARER_KEYS`
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_env: Option<String>,
    /// A header of the request; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// PEM file of the trusted roots for an https URL, instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) ca_file: Option<PathBuf>,
    /// How long to retry while no server or slave can take the call [default: 0, 30 with --with-slave]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) wait: Option<f64>,
    /// Time after which the call is cancelled [default: none; the server has limits of its own]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) timeout: Option<f64>,
    /// Run a slave for the duration of the call that offers TOOL, which echoes the argument "text"
    #[arg(long, requires = "tool")]
    pub(crate) with_slave: bool,
    /// Repeat the call for that long, and print how many calls were answered
    #[arg(long, value_name = "SECONDS", requires = "tool", allow_negative_numbers = true)]
    pub(crate) during: Option<f64>,
    /// Number of concurrent clients with --during, each with a new connection for each call
    #[arg(long, value_name = "CLIENTS", requires = "during", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) parallel: u16,
    /// Print the whole result as the JSON that was received
    #[arg(long)]
    pub(crate) json: bool,
    /// Print texts unchanged, including characters that control a terminal
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Send no key, whatever the environment has.
    #[arg(skip)]
    pub(crate) keyless: bool,
}

impl Call {
    /// `mcp-relay call --list --json` at a URL.
    pub(crate) fn listing(url: String, era: Era) -> Self {
        Self {
            tool: None,
            arguments: None,
            list: true,
            url: Some(url),
            era,
            key_env: None,
            headers: Vec::new(),
            ca_file: None,
            wait: None,
            timeout: None,
            with_slave: false,
            during: None,
            parallel: 1,
            json: true,
            raw: false,
            keyless: false,
        }
    }
}

/// Reads `--era`.
fn eras() -> impl TypedValueParser<Value = Era> {
    let names = [
        PossibleValue::new("modern").help("2026-07-28, without sessions"),
        PossibleValue::new("legacy").help("2025-11-25, with initialize and a session"),
    ];
    PossibleValuesParser::new(names).map(|name| if name == "legacy" { Era::Legacy } else { Era::Modern })
}

pub(super) const ABOUT: &str = "\
Makes one MCP call over HTTP, as any client does, and prints its result: text blocks as text, all other blocks as
JSON. Messages before the result (progress, log messages) go to standard error. SIGINT, SIGTERM and --timeout cancel
the call.

Characters of the result that control a terminal, reorder text or are invisible are printed as escapes, such as
\\u{1b}; newlines and tabs stay. --raw prints texts unchanged.

The server is that of --url, or else the one of this environment (MCP_SERVER_HOST:MCP_SERVER_PORT, trusted by
TLS_CERT if it uses TLS). The key is the first one of AUTH_BEARER_KEYS, so that none is on a command line.

With --wait the command retries while there is no server, no slave or no such tool, or while they are busy: failures
after which the call has certainly not run. Other failures are never retried. With --list it waits for a first tool.

With --with-slave the call goes through a proxy to a slave that runs in this process and links to PROXY_SERVER_URL with
SLAVE_CODE: a test of the whole path that needs no other slave. Give the tool a name that no other slave offers.";

pub(super) const HELP: &str = "\
Variables:
  MCP_SERVER_HOST [default: 127.0.0.1]
  MCP_SERVER_PORT [default: 8000]
  TLS_CERT [default: none]
  AUTH_BEARER_KEYS [default: none]
  and those of `mcp-relay slave` with --with-slave

Examples:
  mcp-relay call --list
  mcp-relay call echo --arguments '{\"text\":\"hello\"}'
  mcp-relay call echo --arguments '{\"text\":\"x\"}' --during 60 --parallel 4
  mcp-relay call review_merge_request --arguments @review.json --url https://relay.example --era legacy
  PROXY_SERVER_URL=ws://proxy:8001 SLAVE_CODE=code1 mcp-relay call relay_test --with-slave \\
    --arguments '{\"text\":\"hello\"}' --url http://proxy:8000

Exit codes:
  0   there is a result
  1   there is no result: no connection, an error, or the call was cancelled; with --during, for any of the calls
  2   the result says that the tool failed (isError)
  64  the command line or the configuration needs correction; nothing was called";

pub(super) const INSTALL_ABOUT: &str = "\
Copies this program into FOLDER as `mcp-relay`, for everybody to run (mode 0755). A copy that is there already is
replaced atomically. For an init container: the image has no shell and no cp.";

pub(super) const INSTALL_HELP: &str = "\
Example:
  mcp-relay install /shared

Exit codes:
  0   the copy is there
  1   it cannot be written
  64  the command line needs correction";
