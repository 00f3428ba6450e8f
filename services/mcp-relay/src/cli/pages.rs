//! Command lines of `mcp-relay completions` and `mcp-relay man`.

use std::path::PathBuf;

use clap::Args;

pub(super) const COMPLETIONS_ABOUT: &str = "\
Prints the completions of the command line for a shell. Packages install them for bash, zsh and fish.";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  mcp-relay completions bash > /etc/bash_completion.d/mcp-relay
  mcp-relay completions zsh > \"${fpath[1]}/_mcp-relay\"
  mcp-relay completions fish > ~/.config/fish/completions/mcp-relay.fish

Exit codes:
  0   printed
  64  the command line needs correction";

pub(super) const MAN_ABOUT: &str = "\
Prints the manual page of mcp-relay, or writes it and one page per subcommand into a folder. Packages install them.";

pub(super) const MAN_HELP: &str = "\
Examples:
  mcp-relay man | man -l -
  mcp-relay man --to /usr/local/share/man/man1

Exit codes:
  0   printed or written
  1   the folder cannot be written
  64  the command line needs correction";

/// Arguments of `mcp-relay completions`.
#[derive(Clone, Copy, Debug, PartialEq, Args)]
pub(crate) struct Completions {
    /// Shell that completes
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `mcp-relay man`.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Man {
    /// Folder to write all pages into; it must exist
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
}
