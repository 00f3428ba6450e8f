//! wstunnel as a blind reverse tunnel before the same upstream: the cost of bytes that nobody reads.
//!
//! Its server stands where the proxy does and its client where the slave does; the client asks the server to listen for the
//! clients of MCP. Used where the variable `WSTUNNEL` names a binary.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::wait_for_echo;
use crate::delay::Delay;
use crate::error::{BenchError, Doing, Result};
use crate::load::single_thread;
use crate::process::Process;
use crate::tls::Target;

/// Longest time until the first answer through the tunnel.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running pair.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Client and server; the client is declared first, so that it is stopped first.
    pub(crate) client: Process,
    pub(crate) server: Process,
    /// Address for clients of MCP.
    pub(crate) http: SocketAddr,
    _logs: TempDir,
}

/// The binary that the variable `WSTUNNEL` names, if it is set.
pub(crate) fn binary() -> Option<PathBuf> {
    std::env::var_os("WSTUNNEL").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Version of the named binary, or "not measured".
pub(crate) fn version() -> String {
    let output = binary().and_then(|binary| Command::new(binary).arg("--version").output().ok());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "not measured (WSTUNNEL=path names a binary)".to_owned())
}

impl Tunnel {
    /// Starts both before `upstream`.
    pub(crate) fn start(binary: &Path, upstream: SocketAddr) -> Result<Self> {
        Ok(Self::start_over(binary, upstream, |_| Ok(None))?.0)
    }

    /// The same, with the client at the other end of the `way` to the server's address, if there is one.
    pub(crate) fn start_over(
        binary: &Path,
        upstream: SocketAddr,
        way: impl FnOnce(SocketAddr) -> Result<Option<Delay>>,
    ) -> Result<(Self, Option<Delay>)> {
        let logs = tempfile::tempdir().doing("making a temporary directory")?;
        let (links, http) = (free_port()?, free_port()?);
        let mut command = Command::new(binary);
        command.args(["--log-lvl", "ERROR", "server"]).arg(format!("ws://{links}"));
        let server = Process::start("wstunnel's server", &mut command, logs.path().join("server.log"))?;
        let way = way(links)?;
        let dialed = way.as_ref().map_or(links, |way| way.address);
        let mut command = Command::new(binary);
        command.args(["--log-lvl", "ERROR", "client", "-R"]);
        command.arg(format!("tcp://{http}:{upstream}")).arg(format!("ws://{dialed}"));
        let client = Process::start("wstunnel's client", &mut command, logs.path().join("client.log"))?;
        let tunnel = Self { client, server, http, _logs: logs };
        single_thread()?
            .block_on(wait_for_echo(&Target::plain(http), START_TIMEOUT))
            .map_err(|error| BenchError::Process(format!("wstunnel does not forward: {error}")))?;
        Ok((tunnel, way))
    }
}

/// A port of loopback that is free now; nobody takes it in between there.
fn free_port() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).doing("finding a free port")
}
