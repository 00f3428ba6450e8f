//! One proxy and one slave of mcp-relay on loopback, on ports of their own choice.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::wait_for_echo;
use crate::error::{BenchError, Doing, Result};
use crate::load::single_thread;
use crate::process::Process;

/// The code that the measured proxy takes; loopback only, for the length of one run.
pub(crate) const SLAVE_CODE: &str = "bench-code";

/// How long the chain may take from start to its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// A proxy without slaves.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The process.
    pub(crate) process: Process,
    /// Where clients ask.
    pub(crate) http: SocketAddr,
    /// Where slaves dial in.
    pub(crate) links: SocketAddr,
    logs: TempDir,
}

/// A proxy with one linked slave that has the demo tools.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The slave's process. Before the proxy: it is ended first.
    pub(crate) slave: Process,
    /// The slave's own MCP port.
    pub(crate) direct: SocketAddr,
    /// The proxy.
    pub(crate) proxy: Proxy,
}

impl Proxy {
    /// Starts a proxy and waits until both its ports listen.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let mut command = bare(binary);
        command.env("PROXY_MODE", "1").env("SLAVE_CODES", SLAVE_CODE);
        command.env("PROXY_WS_HOST", "127.0.0.1").env("PROXY_WS_PORT", "0");
        command.env("SESSION_KEY", "a key for one run of the benchmark, on loopback");
        let mut process = Process::start("the proxy", &mut command, logs.path().join("proxy.log"))?;
        let http = address(&process.wait_for("MCP server listening on http://")?)?;
        let links = address(&process.wait_for("WebSocket server listening on ws://")?)?;
        Ok(Self { process, http, links, logs })
    }
}

impl Relay {
    /// Starts both and waits until a call through both is answered.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let proxy = Proxy::start(binary)?;
        let mut command = bare(binary);
        command.env("PROXY_SLAVE", "1").env("SLAVE_CODE", SLAVE_CODE).env("DEMO_TOOLS", "1");
        command.env("SLAVE_NAME", "bench").env("PROXY_SERVER_URL", format!("ws://{}", proxy.links));
        let mut slave = Process::start("the slave", &mut command, proxy.logs.path().join("slave.log"))?;
        let direct = address(&slave.wait_for("MCP server listening on http://")?)?;
        single_thread()?.block_on(async {
            wait_for_echo(direct, FIRST_ANSWER).await?;
            wait_for_echo(proxy.http, FIRST_ANSWER).await
        })?;
        Ok(Self { slave, direct, proxy })
    }
}

/// The binary with nothing of the caller's environment but the path.
fn bare(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
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
