//! The launcher of backends (`mcp-relay exec-backend`): a small process between the slave and a backend, which confines the
//! backend and ends everything below it, also when the slave dies.
//!
//! Two stages of one program. The *guard* stays: it is the parent of the backend and the subreaper of its descendants, it is
//! not confined itself, and a confined backend cannot signal it. It starts the *confined stage*, which applies the rules to
//! itself and then becomes the backend by exec. Must not know MCP, nor where the rules come from.

mod command;
mod huge_pages;
mod pipe_size;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only a launcher reads all of it"))]
mod plan;

#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod confine;
#[cfg(target_os = "linux")]
mod entry;
#[cfg(target_os = "linux")]
mod error;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod landlock;

pub use command::{Launcher, this_program};
pub use huge_pages::turn_huge_pages_off;
pub(crate) use pipe_size::widen_pipe;
pub(crate) use plan::ERROR_PREFIX;
use plan::START_FAILED;
pub use plan::{Confinement, FileAccess, Limits, PortAccess, Rules, SUBCOMMAND};

#[cfg(target_os = "linux")]
pub use entry::main;
#[cfg(target_os = "linux")]
pub(crate) use {children::oldest as backend_of, guard::KILL_NOW, landlock::is_supported as has_landlock};

use std::io;

/// Returns why a launcher did not start its backend, by its exit status and what it wrote to standard error; `None` if it
/// did. A backend can write the same.
pub(crate) fn start_error(status: std::process::ExitStatus, stderr: &str) -> Option<&str> {
    let failed = is_start_failure(status);
    stderr.lines().rev().find_map(|line| line.strip_prefix(ERROR_PREFIX)).filter(|_| failed)
}

/// Returns whether the status is that of a launcher that did not start its backend. A backend can end with the same.
pub(crate) fn is_start_failure(status: std::process::ExitStatus) -> bool {
    status.code() == Some(START_FAILED.into())
}

/// Makes this process unreadable for other processes of its user: environment and memory, by `/proc` and ptrace
/// (`PR_SET_DUMPABLE`). Processes with `CAP_SYS_PTRACE` or `CAP_PERFMON` can read them all the same. Also keeps core dumps
/// from being written. Has no effect on systems other than Linux.
pub fn hide_this_process() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// Signal that tells a launcher to end everything at once; none is started on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) const KILL_NOW: nix::sys::signal::Signal = nix::sys::signal::Signal::SIGTERM;

/// Refuses to start: there is no launcher on this system.
#[cfg(not(target_os = "linux"))]
pub fn main(_args: impl Iterator<Item = std::ffi::OsString>) -> std::process::ExitCode {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "{ERROR_PREFIX}the launcher needs Linux");
    std::process::ExitCode::from(START_FAILED)
}

/// Returns the backend below a launcher, which is unknown on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn backend_of(_launcher: u32) -> Option<u32> {
    None
}

/// Returns whether the kernel offers Landlock: it does not.
#[cfg(not(target_os = "linux"))]
pub(crate) fn has_landlock() -> bool {
    false
}
