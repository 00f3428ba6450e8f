//! Command line of `mcp-relay exec-backend`, for its help. The launcher reads its arguments itself.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `mcp-relay exec-backend`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct ExecBackend {
    /// The backend's program and its arguments, behind `--`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

pub(super) const ABOUT: &str = "\
Starts a backend as a slave starts it: confined (no_new_privs, no core dumps, few capabilities, a Landlock domain of its
own), and ended with everything that it started. A slave starts its MCP servers and mr-pilot in this way; by hand it
shows whether a server works under it. Standard input, output and error are those of the backend. Needs Linux.";

pub(super) const HELP: &str = "\
Example:
  mcp-relay exec-backend -- npx -y @modelcontextprotocol/server-everything

Exit codes:
  125 the backend could not be started; the reason stands on standard error
  else those of the backend; a signal that ended the backend ends the launcher too";
