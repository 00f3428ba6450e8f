//! Command line of `mcp-relay routes`. Must not know what its commands do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Subcommands of `mcp-relay routes`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum RoutesCommand {
    /// Check a file of routes and report every problem in it
    #[command(long_about = CHECK_ABOUT, after_long_help = CHECK_HELP)]
    Check {
        /// File to check [default: the file that ROUTES names]
        file: Option<PathBuf>,
    },
    /// Explain which rule applies to a call, why earlier rules do not, and which slaves could take it
    #[command(long_about = EXPLAIN_ABOUT, after_long_help = EXPLAIN_HELP)]
    Explain(Explain),
    /// Read a client's key from standard input and print its id for `clients:`
    #[command(name = "key-id", long_about = KEY_ID_ABOUT, after_long_help = KEY_ID_HELP)]
    KeyId,
}

/// Arguments of `mcp-relay routes explain`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Explain {
    /// Tool, as clients name it
    #[arg(long)]
    pub(crate) tool: String,
    /// Arguments of the call, a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// A header of the request; may be given several times. Values of Mcp-Param-* are given decoded, not in Base64
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Calling client, by its name in `clients:`
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
    /// URL of the proxy to ask
    #[arg(long, value_name = "URL", conflicts_with = "routes")]
    pub(crate) proxy: Option<String>,
    /// File of routes to use, without asking any proxy
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) const ABOUT: &str = "\
Rules that send calls to slaves by their labels, in the YAML file that ROUTES names. Without a file there are the
built-in ones: review_merge_request goes to slaves labelled platform=gitlab or platform=github, and to slaves
without such a label. docs/operate/routing.md has the file's format and an example.";

pub(super) const HELP: &str = "\
Examples:
  mcp-relay routes check routes.yaml
  mcp-relay routes explain --tool deploy --arguments '{\"env\":\"production\"}'
  printf %s \"$KEY\" | mcp-relay routes key-id

Exit codes:
  0   done
  1   the proxy cannot be asked
  64  the file or the command line needs correction";

const CHECK_ABOUT: &str = "\
Reads a file of routes as a proxy does at its start. Prints every problem with its line, place, value and what was
expected.";

const CHECK_HELP: &str = "\
Variables:
  ROUTES [default: built-in rules only]

Example:
  mcp-relay routes check routes.yaml

Exit codes:
  0   a proxy can use the file
  64  the file needs correction";

const EXPLAIN_ABOUT: &str = "\
Explains how a call would be routed, without making the call. Asks the proxy at --proxy, or else the one that runs at
OPS_HOST:OPS_PORT (or MCP_SERVER_HOST:MCP_SERVER_PORT), which knows the connected slaves; the key is the first of
AUTH_BEARER_KEYS. With --routes, or where no proxy runs, only the file (ROUTES) is used.";

const EXPLAIN_HELP: &str = "\
Variables:
  ROUTES [default: built-in rules only]
  MCP_SERVER_HOST [default: 127.0.0.1]
  MCP_SERVER_PORT [default: 8000]
  AUTH_BEARER_KEYS [default: none]

Examples:
  mcp-relay routes explain --tool review_merge_request \\
    --arguments '{\"mrUrlOrId\":\"https://gitlab.com/group/project/-/merge_requests/7\"}'
  mcp-relay routes explain --tool deploy --client ci --header 'X-Team: data' --proxy http://relay:8000
  mcp-relay routes explain --tool deploy --routes routes.yaml --json

Exit codes:
  0 the routing is explained, even if the call would be refused
  1   the proxy cannot be asked
  64  the file or the command line needs correction";

const KEY_ID_ABOUT: &str = "\
Prints the id of a client's key for `clients:`, so that the file holds no key: the SHA-256 digest of the key without
the white space around it, in hexadecimal digits.";

const KEY_ID_HELP: &str = "\
Example:
  printf %s \"$KEY\" | mcp-relay routes key-id

Exit codes:
  0   printed
  64  standard input has no key";
