//! Command line of `mcp-relay diagnose`. Must not know what a bundle holds.

use std::path::PathBuf;

use clap::Args;

use super::doctor::DoctorMode;

/// Arguments of `mcp-relay diagnose`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct Diagnose {
    /// Mode to look at [default: the mode that the environment chooses or is for]
    pub(crate) mode: Option<DoctorMode>,
    /// File to write, which must not exist yet [default: mcp-relay-diagnose-TIME.tar.gz]
    #[arg(long, value_name = "FILE", conflicts_with = "stdout")]
    pub(crate) output: Option<PathBuf>,
    /// Print the texts instead of writing a file: to read them, or where no file can be written
    #[arg(long)]
    pub(crate) stdout: bool,
    /// File whose last lines are taken as the log; - for standard input [default: the journal of systemd]
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

pub(super) const ABOUT: &str = "\
Writes a bundle that can be attached to an issue, and prints what is in it: version, platform and clock, the
configuration without secrets, the report of the doctor with the time of each step of the network, modes of the
configured files, certificates, and, of the server of this environment if it runs, health, status and metrics, and
the last lines of its log. Asks no questions, sends nothing, and changes nothing except the file that it writes.

Every text passes one redaction: values of secret variables and of files of codes, keys, users and backends are
replaced in each form in which programs write them, and so are user names, passwords and queries in URLs and
everything that looks like a token. A slave's backends are started for the doctor and stopped again, as by mcp-relay
doctor.";

pub(super) const HELP: &str = "\
The variables are those of `mcp-relay proxy --help` and `mcp-relay slave --help`: run it with the environment, and as
the user, of the server that it is about.

Examples:
  mcp-relay diagnose
  mcp-relay diagnose proxy --output relay.tar.gz
  docker logs --tail 500 relay 2>&1 | mcp-relay diagnose slave --log - --stdout

Exit codes:
  0   the bundle is written, whatever the doctor found
  1   it cannot be written
  64  the command line needs correction";
