//! Tools of the stdio fixture with which a test finds out what a backend may do to its surroundings. Knows no confinement.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::{Pid, setsid};
use serde_json::Value;

use crate::wait;

/// Names of the tools.
pub const TOOLS: [&str; 5] = ["read", "write", "signal", "connect", "detach"];

/// First argument of the fixture as a process that leaves its parent.
pub const DETACHED: &str = "detached";

/// Time after which a detached process ends by itself, so that a failed test leaves none behind.
const DETACHED_LIMIT: Duration = Duration::from_mins(2);

/// Runs one of [`TOOLS`]: the text is what it found, or `error: <why>`.
pub fn call(name: &str, arguments: &Value) -> Option<String> {
    let text = |member: &str| arguments[member].as_str().unwrap_or_default();
    let number = |member: &str| arguments[member].as_i64().and_then(|number| i32::try_from(number).ok());
    let result = match name {
        "read" => fs::read(text("path")).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', "\n")),
        "write" => fs::write(text("path"), "written").map(|()| "written".into()),
        "signal" => kill(Pid::from_raw(number("pid")?), None).map(|()| "sent".into()).map_err(Into::into),
        "connect" => TcpStream::connect(text("address")).map(|_| "connected".into()),
        "detach" => detach(text("path")),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error: std::io::Error| format!("error: {error}")))
}

/// Starts a process in a session and group of its own, whose parent ends at once, and returns its process id. `path` is a
/// file for the id.
fn detach(path: &str) -> std::io::Result<String> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(own);
    command.args([DETACHED, "parent", path]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status()?;
    let mut pid = String::new();
    wait::blocking_until(wait::TIMEOUT, || {
        pid = fs::read_to_string(path).unwrap_or_default();
        pid.ends_with('\n')
    });
    Ok(pid.trim().into())
}

/// Runs the fixture as a detached process.
pub fn run_detached(role: &str, path: &str) -> std::io::Result<()> {
    if role == "parent" {
        setsid()?;
        Command::new(std::env::current_exe()?).args([DETACHED, "child", path]).spawn()?;
        return Ok(());
    }
    setsid()?;
    fs::write(path, format!("{}\n", std::process::id()))?;
    wait::blocking_until(DETACHED_LIMIT, || false);
    Ok(())
}
