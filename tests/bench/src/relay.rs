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
use crate::tls::{Target, Tls};

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
    /// Where both ports speak TLS.
    tls: Option<Tls>,
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
        Self::start_on(program, Ports::default(), "0", None)
    }

    /// The same with TLS on both ports.
    pub(crate) fn start_with_tls(program: Program<'_>) -> Result<Self> {
        Self::start_on(program, Ports::default(), "0", Some(Tls::new()?))
    }

    /// How clients reach it.
    pub(crate) fn target(&self) -> Target {
        Target { address: self.http, tls: self.tls.as_ref().map(Tls::connector) }
    }

    /// The same on these ports, with this `HANDSHAKE_RATE`, and with TLS on both if there is a certificate.
    pub(crate) fn start_on(program: Program<'_>, ports: Ports, rate: &str, tls: Option<Tls>) -> Result<Self> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let mut command = bare(program);
        command.env("PROXY_MODE", "1").env("SLAVE_CODES", SLAVE_CODE).env("MAX_LINKS_PER_CODE", "1000000");
        command.env("PROXY_WS_HOST", "127.0.0.1").env("PROXY_WS_PORT", ports.links.port().to_string());
        command.env("MCP_SERVER_PORT", ports.http.port().to_string()).env("HANDSHAKE_RATE", rate);
        for limit in ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS", "MAX_STREAMS_PER_CLIENT"] {
            command.env(limit, "30000");
        }
        command.env("SESSION_KEY", "a key for one run of the benchmark, on loopback");
        if let Some(tls) = &tls {
            command.env("TLS_CERT", tls.certificate()).env("TLS_KEY", tls.key());
        }
        let s = if tls.is_some() { "s" } else { "" };
        let mut process = Process::start("the proxy", &mut command, logs.path().join("proxy.log"))?;
        let http = address(&process.wait_for(&format!("MCP server listening on http{s}://"))?)?;
        let links = address(&process.wait_for(&format!("WebSocket server listening on ws{s}://"))?)?;
        Ok(Self { process, http, links, tls, _logs: logs })
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

/// What runs the tool of a slave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend<'a> {
    /// The slave itself: the demo tools.
    Slave,
    /// A server of this file of backends.
    File(&'a Path),
}

impl Backend<'_> {
    fn set(self, command: &mut Command) {
        match self {
            Self::Slave => command.env("DEMO_TOOLS", "1"),
            Self::File(path) => command.env("SLAVE_BACKENDS", path),
        };
    }
}

/// A slave.
#[derive(Debug)]
pub(crate) struct Slave {
    process: Process,
    /// Where it serves MCP itself.
    direct: SocketAddr,
    logs: TempDir,
}

impl Slave {
    /// Starts one that dials this port, and waits until its own port listens.
    pub(crate) fn start(program: Program<'_>, backend: Backend<'_>, proxy: &Proxy) -> Result<Self> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let mut command = bare(program);
        command.env("PROXY_SLAVE", "1").env("SLAVE_CODE", SLAVE_CODE).env("SLAVE_NAME", "bench");
        backend.set(&mut command);
        match &proxy.tls {
            None => command.env("PROXY_SERVER_URL", format!("ws://{}", proxy.links)),
            Some(tls) => command
                .env("PROXY_SERVER_URL", format!("wss://{}", proxy.links))
                .env("PROXY_CA_FILE", tls.certificate()),
        };
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
        Self::link(Proxy::start(proxy)?, slave, Backend::Slave)
    }

    /// Starts a slave with this backend at a proxy, and waits until a call through both is answered.
    pub(crate) fn link(proxy: Proxy, slave: Program<'_>, backend: Backend<'_>) -> Result<Self> {
        let Slave { process: slave, direct, logs } = Slave::start(slave, backend, &proxy)?;
        single_thread()?.block_on(async {
            wait_for_echo(&Target::plain(direct), START_TIMEOUT).await?;
            wait_for_echo(&proxy.target(), START_TIMEOUT).await
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
