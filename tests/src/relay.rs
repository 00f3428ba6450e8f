//! A proxy or slave under test: started with port 0, its addresses read from its log.
//!
//! Knows the variables and the log phrases of the document; nothing of MCP.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};

use crate::client::Client;
use crate::process::Process;
use crate::wait;

/// The code that proxies and slaves use unless a test says otherwise.
pub const CODE: &str = "code-of-the-tests";

/// Arguments and variables of a process before its start.
#[derive(Clone, Debug)]
pub struct Setup {
    name: String,
    args: Vec<&'static str>,
    env: Vec<(String, String)>,
}

impl Setup {
    /// A proxy on free loopback ports, without a start window: calls without a slave fail at once.
    pub fn proxy() -> Self {
        let setup = Self { name: "proxy".into(), args: Vec::new(), env: Vec::new() };
        setup
            .env("PROXY_MODE", "1")
            .env("SLAVE_CODES", CODE)
            .env("MCP_SERVER_PORT", "0")
            .env("PROXY_WS_HOST", "127.0.0.1")
            .env("PROXY_WS_PORT", "0")
            .env("START_WINDOW", "0")
    }

    /// A slave with the demo tools that dials `proxy` and reconnects within a second.
    pub fn slave(name: &str, proxy: SocketAddr) -> Self {
        let setup = Self { name: name.into(), args: Vec::new(), env: Vec::new() };
        setup
            .env("PROXY_SLAVE", "1")
            .env("SLAVE_CODE", CODE)
            .env("SLAVE_NAME", name)
            .env("PROXY_SERVER_URL", format!("ws://{proxy}"))
            .env("MCP_SERVER_PORT", "0")
            .env("RECONNECT_MAX", "1")
            .env("DEMO_TOOLS", "1")
    }

    /// A process with no variables at all.
    pub fn bare(name: &str) -> Self {
        Self { name: name.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Command-line arguments.
    #[must_use]
    pub fn args(mut self, args: &[&'static str]) -> Self {
        self.args = args.to_vec();
        self
    }

    /// Sets a variable, in place of an earlier value.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// Detects a silent peer after 2 s instead of 4 s, for tests that wait for it often. A shorter time would mistake a busy
    /// machine for a dead peer.
    #[must_use]
    pub fn quick_pings(self) -> Self {
        self.env("LINK_PING_INTERVAL_MS", "500").env("LINK_PING_TIMEOUT_MS", "2000")
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(&self) -> Process {
        Process::relay(&self.name, &self.args, &self.env)
    }

    /// Starts a proxy and waits until both ports are open.
    pub async fn start_proxy(&self) -> Proxy {
        let process = self.spawn();
        let http = port(&process, "MCP server listening on http").await;
        let link = port(&process, "WebSocket server listening on ws").await;
        Proxy { process, http, link }
    }

    /// Starts a slave and waits until its own port is open (not until it is linked).
    pub async fn start_slave(&self) -> Slave {
        let process = self.spawn();
        let http = port(&process, "MCP server listening on http").await;
        Slave { process, http }
    }
}

/// Waits for a log line with this phrase, which ends with the `http` or `ws` of a URL, and returns the URL's address.
pub async fn port(process: &Process, phrase: &str) -> SocketAddr {
    let line = process.log.wait_for(phrase).await;
    // The address follows "://", or "s://" with TLS.
    let text = line.split(phrase).nth(1).and_then(|rest| rest.split_once("://")).map_or("", |(_, text)| text);
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c))).unwrap_or(text.len());
    let address: SocketAddr = text[..end].parse().unwrap_or_else(|e| panic!("no address in {line:?}: {e}"));
    // A server bound to all interfaces is reached over loopback.
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    /// Address for clients.
    pub http: SocketAddr,
    /// Address for slaves.
    pub link: SocketAddr,
}

impl Proxy {
    /// Waits until `tools/list` has a tool of this name.
    pub async fn offers(&self, tool: &str) {
        let client = Client::modern(self.http);
        wait::until(&format!("tool {tool:?} in tools/list"), async || {
            client.tool_names().await.iter().any(|name| name == tool).then_some(())
        })
        .await;
    }

    /// Waits until `tools/list` no longer has a tool of this name.
    pub async fn withdraws(&self, tool: &str) {
        let client = Client::modern(self.http);
        wait::until(&format!("tool {tool:?} to leave tools/list"), async || {
            (!client.tool_names().await.iter().any(|name| name == tool)).then_some(())
        })
        .await;
    }

    /// Waits until this many links have authenticated since the start, reconnections included.
    pub async fn accepted(&self, links: usize) {
        wait::until(&format!("{links} authenticated links"), async || {
            (self.log.count("Slave authenticated successfully") >= links).then_some(())
        })
        .await;
    }
}

impl Deref for Proxy {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Proxy {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A running slave.
#[derive(Debug)]
pub struct Slave {
    process: Process,
    /// Address of its own MCP port.
    pub http: SocketAddr,
}

impl Deref for Slave {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Slave {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// One proxy and one slave with the demo tools, linked and listed.
pub async fn pair() -> (Proxy, Slave) {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    (proxy, slave)
}

/// Arguments of the demo tool `sleep` that reports `steps` times within `seconds`.
pub fn sleep_args(seconds: f64, steps: u32) -> Value {
    json!({ "seconds": seconds, "steps": steps })
}
