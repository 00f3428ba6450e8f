//! The reasons why a launcher does not start its backend. Must not know who reads them.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// The reason why a backend was not started. The text stands in the slave's log behind the backend's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error("usage: mcp-relay exec-backend [--plan JSON] -- COMMAND [ARGS]...")]
    Usage,
    #[error("the launcher's plan cannot be read: {0}")]
    Plan(#[from] serde_json::Error),
    #[error("the slave is gone already")]
    NoParent,
    #[error("the launcher cannot {step}: {source}")]
    Step { step: &'static str, source: io::Error },
    #[error("its command {command:?} is not found (PATH of the slave)")]
    NotFound { command: OsString },
    #[error("its command {command:?} cannot be started: {source}{}", .hint.unwrap_or_default())]
    Exec { command: OsString, source: io::Error, hint: Option<&'static str> },
    #[error(
        "confine.{member} is not possible: {source} (uid and gid need a slave that runs as root, or with CAP_SETUID and CAP_SETGID)"
    )]
    User { member: &'static str, source: io::Error },
    #[error("confine.limits.{member} cannot be set: {source}")]
    Limit { member: &'static str, source: io::Error },
    #[error(
        "confine.{member} needs Landlock of Linux {since}, which this kernel does not offer (see /sys/kernel/security/lsm; a container's seccomp profile must allow it): remove the rule, or run the slave elsewhere ({why})"
    )]
    Landlock { member: &'static str, since: &'static str, why: String },
    #[error("confine.{member}: {path:?} cannot be opened: {why}")]
    Path { member: &'static str, path: PathBuf, why: String },
}

/// Returns the error of a step, for `map_err`.
pub(super) fn step(step: &'static str) -> impl Fn(nix::errno::Errno) -> LaunchError {
    move |errno| LaunchError::Step { step, source: errno.into() }
}
