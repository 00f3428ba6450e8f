//! Command line of `mcp-relay users`. Must not know what its commands do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Subcommands of `mcp-relay users`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum UsersCommand {
    /// Add a user; the password is read from standard input
    Add {
        /// Name that the user signs in with
        name: String,
        /// A group of the user; may be given several times
        #[arg(long = "group", value_name = "NAME")]
        groups: Vec<String>,
        /// Make a secret for one-time codes, print it, and ask for a code at each sign-in
        #[arg(long)]
        totp: bool,
        #[command(flatten)]
        file: UsersFileArg,
    },
    /// Replace a user's password, which is read from standard input; ends the grants of all the user's clients
    Passwd {
        /// Name of the user
        name: String,
        #[command(flatten)]
        file: UsersFileArg,
    },
    /// Remove a user; ends the grants of all the user's clients
    Remove {
        /// Name of the user
        name: String,
        #[command(flatten)]
        file: UsersFileArg,
    },
    /// List the users with their groups
    List {
        #[command(flatten)]
        file: UsersFileArg,
    },
}

/// The file that a command reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct UsersFileArg {
    /// File of users [default: the file that `BROKER_USERS_FILE` names]
    #[arg(long = "file", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

pub(super) const ABOUT: &str = "\
Users of the OAuth broker (OAUTH_BROKER=1), in the file that BROKER_USERS_FILE names: a running proxy reads it again within
a second. Passwords are kept as argon2id hashes. docs/secure/broker.md has more.";

pub(super) const HELP: &str = "\
Variables:
  BROKER_USERS_FILE [default: none] (the file, unless --file is given)

Examples:
  mcp-relay users add ann --group dev --file users.yaml
  printf %s \"$PASSWORD\" | mcp-relay users passwd ann --file users.yaml

Exit codes:
  0   done
  1   the file cannot be written
  64  the command line, the password or the file needs correction";
