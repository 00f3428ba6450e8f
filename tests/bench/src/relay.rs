//! One proxy and one slave of mcp-relay on free loopback ports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::wait_for_echo;
use crate::error::{BenchError, Doing, Result};
use crate::load::single_thread;
use crate::process::Process;
use crate::program::Program;

/// Slave code of the measured proxy.
pub(crate) const SLAVE_CODE: &str = "bench-code";

/// Longest time from the start to the first answer.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A proxy without slaves.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The process.
    pub(crate) process: Process,
    /// Address for clients.
    pub(crate) http: SocketAddr,
    /// Address for slaves.
    pub(crate) links: SocketAddr,
    _logs: TempDir,
}

/// A proxy with one linked slave that has the demo tools.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The slave's process; declared before the proxy, so that it is stopped first.
    pub(crate) slave: Process,
    /// The slave's own MCP port.
    pub(crate) direct: SocketAddr,
    /// The proxy.
    pub(crate) proxy: Proxy,
    _logs: TempDir,
}

impl Proxy {
    /// Starts a proxy on free ports without a handshake limit, and waits until both ports listen.
    pub(crate) fn start(program: Program<'_>) -> Result<Self> {
        Self::start_on(program, Ports::default(), "0")
    }

    /// The same on these ports, with this `HANDSHAKE_RATE`.
    pub(crate) fn start_on(program: Program<'_>, ports: Ports, rate: &str) -> Result<Self> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let mut command = bare(program);
        command.env("PROXY_MODE", "1").env("SLAVE_CODES", SLAVE_CODE).env("MAX_LINKS_PER_CODE", "1000000");
        command.env("PROXY_WS_HOST", "127.0.0.1").env("PROXY_WS_PORT", ports.links.port().to_string());
        command.env("MCP_SERVER_PORT", ports.http.port().to_string()).env("HANDSHAKE_RATE", rate);
        command.env("SESSION_KEY", "a key for one run of the benchmark, on loopback");
        let mut process = Process::start("the proxy", &mut command, logs.path().join("proxy.log"))?;
        let http = address(&process.wait_for("MCP server listening on http://")?)?;
        let links = address(&process.wait_for("WebSocket server listening on ws://")?)?;
        Ok(Self { process, http, links, _logs: logs })
    }
}

/// Listening addresses of a proxy; port 0 is any free port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: SocketAddr,
    pub(crate) links: SocketAddr,
}

impl Default for Ports {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { http: any, links: any }
    }
}

/// A slave with the demo tools.
#[derive(Debug)]
pub(crate) struct Slave {
    process: Process,
    /// Where it serves MCP itself.
    direct: SocketAddr,
    logs: TempDir,
}

impl Slave {
    /// Starts one that dials this port, and waits until its own port listens.
    pub(crate) fn start(program: Program<'_>, links: SocketAddr) -> Result<Self> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let mut command = bare(program);
        command.env("PROXY_SLAVE", "1").env("SLAVE_CODE", SLAVE_CODE).env("DEMO_TOOLS", "1");
        command.env("SLAVE_NAME", "bench").env("PROXY_SERVER_URL", format!("ws://{links}"));
        let mut process = Process::start("the slave", &mut command, logs.path().join("slave.log"))?;
        let direct = address(&process.wait_for("MCP server listening on http://")?)?;
        Ok(Self { process, direct, logs })
    }
}

impl Relay {
    /// Starts both and waits until a call through both is answered.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        Self::start_as(Program::plain(binary), Program::plain(binary))
    }

    /// The same of these programs.
    pub(crate) fn start_as(proxy: Program<'_>, slave: Program<'_>) -> Result<Self> {
        let proxy = Proxy::start(proxy)?;
        let Slave { process: slave, direct, logs } = Slave::start(slave, proxy.links)?;
        single_thread()?.block_on(async {
            wait_for_echo(direct, START_TIMEOUT).await?;
            wait_for_echo(proxy.http, START_TIMEOUT).await
        })?;
        Ok(Self { slave, direct, proxy, _logs: logs })
    }
}

/// A command of the program that listens on a free port of loopback.
fn bare(program: Program<'_>) -> Command {
    let mut command = program.command();
    command.env("MCP_SERVER_HOST", "127.0.0.1").env("MCP_SERVER_PORT", "0");
    command
}

fn address(text: &str) -> Result<SocketAddr> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(text.len());
    text[..end].parse().map_err(|_| BenchError::Process(format!("no address in the log line's end {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_whatever_follows() {
        for text in ["127.0.0.1:81", "127.0.0.1:81/mcp", "127.0.0.1:81 mode=proxy"] {
            assert_eq!(address(text).unwrap(), ([127, 0, 0, 1], 81).into());
        }
        assert!(address("localhost:81").is_err());
    }
}
