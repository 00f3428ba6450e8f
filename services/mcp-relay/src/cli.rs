//! The command line: subcommands and their help. All other configuration comes from the environment.

mod call;
mod connect;
mod diagnose;
mod digest;
mod doctor;
#[cfg(test)]
mod document;
mod exec_backend;
mod pages;
mod policy;
mod routes;
mod status;
mod up;
mod users;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use call::Call;
pub(crate) use connect::{Connect, Program};
pub(crate) use diagnose::Diagnose;
pub(crate) use digest::Digest;
pub(crate) use doctor::DoctorMode;
pub(crate) use exec_backend::ExecBackend;
pub(crate) use pages::{Completions, Man};
pub(crate) use policy::{ClientArgs, ExplainPolicy, PolicyArgs, PolicyCommand, PolicyOf, WhatArgs};
pub(crate) use routes::{Explain, RoutesCommand};
pub(crate) use status::StatusArgs;
pub(crate) use up::{Import, Servers, Share, Up};
pub(crate) use users::{UsersCommand, UsersFileArg};

use crate::{reference, version};

const ABOUT: &str = "\
Connects MCP clients and MCP tools without an inbound port: a proxy serves clients over HTTP, slaves dial out
to the proxy over WebSocket, hold the credentials and run the tools.

Without a subcommand the environment decides: PROXY_MODE=1 runs the proxy, PROXY_SLAVE=1 a slave, neither
serves this machine's tools standalone.";

const EXIT_CODES: &str = "\
Exit codes:
  0   ended as asked (also after SIGTERM or SIGINT)
  1   failed at run time, for example because a port is in use
  64  the configuration or the command line needs correction; nothing was started";

const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0 no problem was found
  1 a problem was found
  64  the command line needs correction";

/// mcp-relay.
#[derive(Debug, Parser)]
#[command(name = "mcp-relay", version = version::short(), long_version = version::long(), about = "Self-hosted secure MCP tunnel", long_about = ABOUT)]
#[command(after_long_help = main_help())]
pub(crate) struct Cli {
    /// Explain every environment variable and exit
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(crate) env_help: Option<Format>,
    /// Explain every series of /metrics (as docs/METRICS.md) and exit
    #[arg(long)]
    pub(crate) metrics_help: bool,
    /// Subcommand to run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Form of `--env-help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Text,
    /// As docs/CONFIGURATION.md
    Markdown,
}

/// Subcommands.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP clients over HTTP and accept slaves over WebSocket
    #[command(long_about = PROXY_ABOUT, after_long_help = proxy_help())]
    Proxy,
    /// Dial a proxy, hold the credentials and run the tools
    #[command(long_about = SLAVE_ABOUT, after_long_help = slave_help())]
    Slave,
    /// Check configuration and reachability, and report what to fix
    #[command(long_about = DOCTOR_ABOUT, after_long_help = doctor_help())]
    Doctor {
        /// Mode to check [default: the mode that the environment chooses or is for]
        mode: Option<DoctorMode>,
        /// Print one JSON object instead of lines
        #[arg(long)]
        json: bool,
        /// Say for each step what was tried, what it means and what to do
        #[arg(long)]
        explain: bool,
        /// Explain every step (as docs/operate/diagnose.md) and exit
        #[arg(long)]
        steps: bool,
    },
    /// Write a bundle without secrets that can be attached to an issue
    #[command(long_about = diagnose::ABOUT, after_long_help = diagnose::HELP)]
    Diagnose(Diagnose),
    /// Check the routing rules, and explain how a call would be routed
    #[command(long_about = routes::ABOUT, after_long_help = routes::HELP)]
    Routes {
        /// Subcommand to run.
        #[command(subcommand)]
        command: RoutesCommand,
    },
    /// Check the policy of who may use what, explain its decisions, and run its tests
    #[command(long_about = policy::ABOUT, after_long_help = policy::HELP)]
    Policy {
        /// Subcommand to run.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Add, change, remove and list the users of the OAuth broker
    #[command(long_about = users::ABOUT, after_long_help = users::HELP)]
    Users {
        /// Subcommand to run.
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Show the status of a running proxy or slave: slaves, links, backends, calls
    #[command(long_about = status::ABOUT, after_long_help = status::HELP)]
    Status(StatusArgs),
    /// Show the relay at work: one proxy and two slaves on loopback
    #[command(long_about = DEMO_ABOUT, after_long_help = demo_help())]
    Demo,
    /// Check whether the server of this configuration is alive (container health check)
    #[command(long_about = HEALTH_ABOUT, after_long_help = health_help())]
    Health {
        /// Check whether it is ready for calls (GET /readyz) instead
        #[arg(long)]
        ready: bool,
    },
    /// Call a tool through any MCP server, or list its tools
    #[command(long_about = call::ABOUT, after_long_help = call::HELP)]
    Call(Call),
    /// Print or write what a client program needs in order to use the relay
    #[command(long_about = connect::ABOUT, after_long_help = connect::HELP)]
    Connect(Connect),
    /// Serve the tools of a command or file at a URL on this machine
    #[command(long_about = up::UP_ABOUT, after_long_help = up::UP_HELP)]
    Up(Up),
    /// Offer the tools of a command or file through a proxy
    #[command(long_about = up::SHARE_ABOUT, after_long_help = up::SHARE_HELP)]
    Share(Share),
    /// Import the servers of an MCP client's file into the file of a slave
    #[command(long_about = up::IMPORT_ABOUT, after_long_help = up::IMPORT_HELP)]
    Import(Import),
    /// Print the digests of tools' definitions, to pin them in the file of slave codes
    #[command(long_about = digest::ABOUT, after_long_help = digest::HELP)]
    Digest(Digest),
    /// Start a backend confined, and end it with all its child processes (used by slaves)
    #[command(long_about = exec_backend::ABOUT, after_long_help = exec_backend::HELP)]
    ExecBackend(ExecBackend),
    /// Print completions for a shell
    #[command(long_about = pages::COMPLETIONS_ABOUT, after_long_help = pages::COMPLETIONS_HELP)]
    Completions(Completions),
    /// Print the manual page, or write one page per subcommand into a folder
    #[command(long_about = pages::MAN_ABOUT, after_long_help = pages::MAN_HELP)]
    Man(Man),
    /// Copy this program into a folder (container init step)
    #[command(long_about = call::INSTALL_ABOUT, after_long_help = call::INSTALL_HELP)]
    Install {
        /// Folder to copy into
        folder: PathBuf,
    },
}

const PROXY_ABOUT: &str = "\
Serves MCP clients over HTTP (MCP_SERVER_HOST:MCP_SERVER_PORT, path /mcp), accepts slaves over WebSocket
(PROXY_WS_HOST:PROXY_WS_PORT), and forwards each call to a slave that offers its tool. A proxy runs no tools
and stores nothing on disk. The same as PROXY_MODE=1 without a subcommand.

Also answers GET /healthz (alive), /readyz (accepts calls), /metrics and /api/v1/status on the HTTP port or on
OPS_PORT, and /health on the HTTP port.";

const PROXY_VARIABLES: [&str; 5] = ["Every mode", "Forward proxies", "Proxy", "Audit", "Traces"];

fn proxy_help() -> String {
    format!(
        "{}\n{}\n{}",
        reference::chosen(&PROXY_VARIABLES),
        "Examples:\n  SLAVE_CODES=$(openssl rand -hex 16) mcp-relay proxy\n  \
         MCP_SERVER_HOST=0.0.0.0 AUTH_BEARER_KEYS=key1,key2 SLAVE_CODES=code1,code2 mcp-relay proxy\n",
        EXIT_CODES
    )
}

const SLAVE_ABOUT: &str = "\
Dials the proxy at PROXY_SERVER_URL with SLAVE_CODE, offers its tools there and runs the calls that come back. A slave
needs no inbound port and reconnects automatically when the link breaks. It also serves the same tools as MCP on its
own MCP_SERVER_HOST:MCP_SERVER_PORT. The same as PROXY_SLAVE=1 without a subcommand.

Tools come from MCP servers that it starts (SLAVE_BACKENDS), from commands (SLAVE_TOOLS), from the mr-pilot
command (review_merge_request) and, with DEMO_TOOLS=1, from built-in demo tools.";

const SLAVE_VARIABLES: [&str; 6] = ["Every mode", "Forward proxies", "Slave", "Handed on", "Audit", "Traces"];

fn slave_help() -> String {
    format!(
        "{}\n{}\n{}",
        reference::chosen(&SLAVE_VARIABLES),
        "Examples:\n  PROXY_SERVER_URL=ws://localhost:8001 SLAVE_CODE=code1 MCP_SERVER_PORT=9000 DEMO_TOOLS=1 mcp-relay slave\n  \
         PROXY_SERVER_URL=wss://relay.example SLAVE_CODE=code2 SLAVE_BACKENDS=mcp.json mcp-relay slave\n",
        EXIT_CODES
    )
}

const DOCTOR_ABOUT: &str = "\
Checks step by step what a start needs, and reports for each failed step how to fix it. The doctor may run beside a
live server. A slave's backends are started for the check and stopped again.

Slave: variables, name resolution, TCP, TLS (wss), WebSocket, slave code, backends and their tools, own port.
Proxy: variables, codes, session key, ports, and connected slaves if a proxy runs there already.

The code is checked with a probe, which an mcp-relay proxy answers without registering a slave. The existing Node
server knows no probes: its active slave is disconnected for a moment and then reconnects.";

fn doctor_help() -> String {
    format!(
        "The variables are those of `mcp-relay proxy --help` and `mcp-relay slave --help`.\n\n{}\n{CHECK_EXIT_CODES}",
        "Examples:\n  mcp-relay doctor\n  PROXY_SERVER_URL=ws://localhost:8001 SLAVE_CODE=code1 mcp-relay doctor slave\n  \
         mcp-relay doctor proxy --json\n  mcp-relay doctor --explain\n"
    )
}

const DEMO_ABOUT: &str = "\
Starts one proxy and two slaves as child processes on free loopback ports and shows tools/list through the
proxy, a call answered by a slave, a call with live progress, a slave that is killed during a call with the error that
the client then gets, and the metrics that changed. The demo needs no configuration, takes about 10 seconds, and stops
all its processes.";

fn demo_help() -> String {
    format!(
        "Variables of the environment have no effect on the demo.\n\nExample:\n  mcp-relay demo\n\n{CHECK_EXIT_CODES}"
    )
}

const HEALTH_ABOUT: &str = "\
Sends GET /healthz (with --ready: /readyz) to OPS_HOST:OPS_PORT, or to MCP_SERVER_HOST:MCP_SERVER_PORT where OPS_PORT
is not set (over loopback where the host stands for every interface), with a time limit of 3 seconds, and reports the
result. For the health check of a container whose image has no curl.";

fn health_help() -> String {
    format!(
        "Variables:\n  MCP_SERVER_HOST [default: 127.0.0.1]\n  MCP_SERVER_PORT [default: 8000]\n  OPS_HOST [default: MCP_SERVER_HOST]\n  \
         OPS_PORT [default: MCP_SERVER_PORT]\n\nExample:\n  HEALTHCHECK CMD [\"mcp-relay\", \"health\"]\n  until mcp-relay health --ready; do sleep 1; done\n\n{CHECK_EXIT_CODES}"
    )
}

fn main_help() -> String {
    format!(
        "{}\n{}\n{}\n\nHelp of a subcommand: mcp-relay <COMMAND> --help. All variables: mcp-relay --env-help.",
        reference::chosen(&["Mode"]),
        "Examples:\n  mcp-relay demo\n  PROXY_MODE=1 SLAVE_CODES=code1 mcp-relay\n  \
         PROXY_SLAVE=1 SLAVE_CODE=code1 PROXY_SERVER_URL=ws://localhost:8001 MCP_SERVER_PORT=9000 mcp-relay\n  \
         DEMO_TOOLS=1 mcp-relay\n",
        EXIT_CODES
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_help_is_complete() {
        let mut root = Cli::command();
        root.build();
        for sub in [
            "proxy",
            "slave",
            "doctor",
            "diagnose",
            "routes",
            "policy",
            "status",
            "demo",
            "health",
            "call",
            "connect",
            "up",
            "share",
            "import",
            "digest",
            "users",
            "install",
            "completions",
            "man",
            "exec-backend",
        ] {
            let help = root.find_subcommand_mut(sub).unwrap().render_long_help().to_string();
            assert!(help.contains("Exit codes:") && help.contains("Example"), "{sub}:\n{help}");
        }
        let routes = root.find_subcommand_mut("routes").unwrap();
        for sub in ["check", "explain", "key-id"] {
            let help = routes.find_subcommand_mut(sub).unwrap().render_long_help().to_string();
            assert!(help.contains("Exit codes:") && help.contains("Example"), "routes {sub}:\n{help}");
        }
        let policy = root.find_subcommand_mut("policy").unwrap();
        for sub in ["check", "explain", "test"] {
            let help = policy.find_subcommand_mut(sub).unwrap().render_long_help().to_string();
            assert!(help.contains("Exit codes:") && help.contains("Example"), "policy {sub}:\n{help}");
        }
        let help =
            |sub: &str| Cli::command().find_subcommand_mut(sub).unwrap().render_long_help().to_string();
        for (sub, tables) in [("proxy", proxy::config::TABLES), ("slave", slave::config::TABLES)] {
            for var in tables.iter().copied().flatten() {
                assert!(help(sub).contains(&format!("  {} [", var.name)), "{sub} --help lacks {}", var.name);
            }
        }
    }

    #[test]
    fn variables_are_explained_on_request() {
        assert_eq!(Cli::parse_from(["mcp-relay", "--env-help"]).env_help, Some(Format::Text));
        assert_eq!(Cli::parse_from(["mcp-relay", "--env-help=markdown"]).env_help, Some(Format::Markdown));
        assert_eq!(Cli::parse_from(["mcp-relay", "proxy"]).command, Some(Command::Proxy));
    }
}
