//! Command line of `mcp-relay digest`. Must not know what the command does.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `mcp-relay digest`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Digest {
    /// File with a definition, or with the answer to tools/list [default: standard input]
    #[arg(conflicts_with = "url")]
    pub(crate) file: Option<PathBuf>,
    /// Ask this MCP server instead, at /mcp where no path is given
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Variable that holds the key of the server, instead of `AUTH_BEARER_KEYS`
    #[arg(long, value_name = "VARIABLE", requires = "url")]
    pub(crate) key_env: Option<String>,
    /// PEM file of the trusted roots for an https URL, instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) ca_file: Option<PathBuf>,
}

pub(super) const ABOUT: &str = "\
Prints the digests of tools' definitions, one per line with the tool's name, for `provide` in SLAVE_CODES_FILE: a code
whose entry pins a digest offers the tool with exactly that definition. Reads a definition, an array of them, an
object with `tools`, or a JSON-RPC response to tools/list; or asks a server for its tools.

The digest is of the definition as the slave offers it: ask the slave's own port, or the backend. A proxy shows a tool
that shares its name with another under a longer name, and then with another digest.";

pub(super) const HELP: &str = "\
Variables:
  AUTH_BEARER_KEYS [default: none] (the first is the key for --url)

Examples:
  mcp-relay digest --url http://127.0.0.1:9000
  mcp-relay digest tools.json

Exit codes:
  0   every definition has a digest
  1   a definition has none (a key twice, or nested too deeply), or the server did not answer
  64  the command line or the input needs correction";
