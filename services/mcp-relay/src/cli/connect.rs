//! Command line of `mcp-relay connect`. Must not know what a client's configuration looks like.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Programs whose configuration the command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// Claude Code: .mcp.json of the project
    ClaudeCode,
    /// Claude Desktop: its configuration file, through the npm package mcp-remote
    ClaudeDesktop,
    /// Cursor: ~/.cursor/mcp.json
    Cursor,
    /// Visual Studio Code: .vscode/mcp.json of the workspace
    Vscode,
    /// Codex: ~/.codex/config.toml
    Codex,
    /// MCP Inspector: a file for its option --config
    Inspector,
}

/// Arguments of `mcp-relay connect`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Connect {
    /// The client program
    #[arg(value_enum)]
    pub(crate) program: Program,
    /// MCP endpoint, with /mcp where no path is given [default: the server of this environment]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Name of the server in the client
    #[arg(long, default_value = "mcp-relay", value_parser = server_name)]
    pub(crate) name: String,
    /// Variable that holds the key; without it the client needs none, or signs in with OAuth
    #[arg(long, value_name = "VARIABLE", value_parser = variable_name)]
    pub(crate) key_env: Option<String>,
    /// Write the client's file, instead of printing what to put there
    #[arg(long)]
    pub(crate) write: bool,
    /// The client's file, instead of the usual one
    #[arg(long, value_name = "FILE", requires = "write")]
    pub(crate) file: Option<PathBuf>,
    /// With --write: print the file as it would be, and change nothing
    #[arg(long, requires = "write")]
    pub(crate) dry_run: bool,
    /// List the tools with the address and the key that the client gets
    #[arg(long)]
    pub(crate) test: bool,
    /// PEM file of the trusted roots for --test, instead of the system's
    #[arg(long, value_name = "FILE", requires = "test")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Clients make names of tools from it.
fn server_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 64 letters, digits, - and _".into())
}

fn variable_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| !c.is_ascii_digit()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a variable: letters, digits and _".into())
}

pub(super) const ABOUT: &str = "\
Prints what a client program needs in order to use the relay, in the format of that program: a file's content, and the
command that does the same if there is one. --write writes it to the client's file: other contents of the file stay,
comments included, the previous file is kept beside it (name.backup, name.backup.2 …), and --dry-run shows the result
first.

Keys stay where they are: the client's file refers to the variable of --key-env. Claude Desktop does not support
references, so --write puts the key itself into its file, readable by its owner only; without --write a placeholder is
printed. Visual Studio Code asks for the key once and keeps it. Without --key-env the client gets no key: it signs in
with OAuth if the relay requires it.

--test lists the tools as the client would ask for them (2025-11-25 and a session), with the key of --key-env.";

pub(super) const HELP: &str = "\
Variables:
  MCP_SERVER_HOST [default: 127.0.0.1], MCP_SERVER_PORT [default: 8000], TLS_CERT, PUBLIC_URL, without --url

Examples:
  mcp-relay connect claude-code --url https://relay.example --key-env MCP_RELAY_KEY
  mcp-relay connect vscode --url https://relay.example --key-env MCP_RELAY_KEY --write
  mcp-relay connect cursor --url https://relay.example --write --dry-run
  MCP_RELAY_KEY=… mcp-relay connect codex --url https://relay.example --key-env MCP_RELAY_KEY --test

Exit codes:
  0   it was printed, written, and with --test the server listed its tools
  1   the file cannot be written, or the server did not list its tools
  64  the command line or the client's file needs correction; nothing was changed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for (name, good) in [("relay", true), ("a_B-9", true), ("", false), ("a b", false), ("a.b", false)] {
            assert_eq!(server_name(name).is_ok(), good, "{name}");
        }
        for (name, good) in
            [("KEY", true), ("_k9", true), ("9k", false), ("", false), ("A-B", false), ("$K", false)]
        {
            assert_eq!(variable_name(name).is_ok(), good, "{name}");
        }
    }
}
