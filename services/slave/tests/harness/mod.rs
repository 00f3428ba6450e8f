//! The harness of this crate's tests: fixture programs, a sink that collects, bounded waits on conditions.
//!
//! Must not know what is being tested.

// Every test binary uses a part of the harness only, and none of them is a library.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::kind::Kind;
use serde_json::Value;
use slave::backends::stdio::{StdioServer, StdioTiming};
use slave::call::{CallEnd, CallHandle, CallSink, SinkClosed};
use slave::executor::{Executor, ExecutorConfig};
use slave::launcher::Launcher;
use tokio::sync::{mpsc, oneshot};

/// The limit of every wait.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the path of a program in `examples/`, which `cargo test` builds beside the tests.
pub fn fixture(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is missing: cargo build --examples -p mcp-relay-slave", path.display());
    path
}

/// Returns a server that runs the stdio fixture with these arguments.
pub fn server(name: &str, args: &[&str]) -> StdioServer {
    StdioServer {
        name: name.into(),
        command: fixture("stdio_fixture").to_string_lossy().into_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..StdioServer::default()
    }
}

/// Returns a configuration of these servers with short pauses and timeouts.
pub fn config(servers: Vec<StdioServer>) -> ExecutorConfig {
    let timing = StdioTiming {
        check: None,
        probe: Duration::from_millis(300),
        start: Duration::from_secs(20),
        slow: Duration::from_secs(5),
        wait: Duration::from_secs(10),
        restart_first: Duration::from_millis(20),
        restart_cap: Duration::from_millis(100),
        stable: Duration::from_mins(1),
        stop_grace: Duration::from_millis(200),
    };
    let launcher = Launcher::Program(fixture("exec_backend"));
    ExecutorConfig { servers, timing, launcher, ..ExecutorConfig::default() }
}

/// Waits for a future, at most [`WAIT_TIMEOUT`].
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_TIMEOUT, what).await.expect("it did not happen within 30 s")
}

/// Polls a condition until it holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until the catalog has (`listed`) or no longer has a tool of this name.
pub async fn until_listed(executor: &Executor, tool: &str, listed: bool) {
    let mut catalog = executor.catalog();
    let there = |catalog: &std::sync::Arc<protocol::mcp::catalog::Catalog>| {
        catalog.tools.iter().any(|one| one.name == tool)
    };
    within(catalog.wait_for(|catalog| there(catalog) == listed)).await.unwrap();
}

/// Starts an executor and waits for its tools.
pub async fn started(config: ExecutorConfig) -> Executor {
    let tool = if config.demo_tools { "sleep" } else { "echo" };
    let executor = Executor::start(config).await;
    until_listed(&executor, tool, true).await;
    executor
}

/// Returns a header as a proxy writes it.
pub fn header(era: Era) -> CallHeader {
    let version = if era == Era::Modern { Version::NEWEST } else { Version::NEWEST_LEGACY };
    CallHeader {
        kind: Some(Kind::Tool),
        silence_timeout_ms: 20_000,
        total_timeout_ms: 20_000,
        ..CallHeader::new("tools/call", era, version)
    }
}

/// A running call.
pub struct Call {
    pub events: mpsc::Receiver<Bytes>,
    pub end: oneshot::Receiver<CallEnd>,
    pub handle: CallHandle,
}

/// A sink that passes everything to channels.
struct Sink {
    events: mpsc::Sender<Bytes>,
    end: oneshot::Sender<CallEnd>,
}

impl CallSink for Sink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        assert!(!json.contains(&b'\n'), "a newline in {json:?}");
        self.events.send(json).map(|sent| sent.map_err(|_| SinkClosed)).boxed()
    }

    fn end(self: Box<Self>, end: CallEnd) {
        assert!(!end.payload.contains(&b'\n'));
        let _ = self.end.send(end);
    }
}

/// Begins a call of `tool` with a message as clients write it.
pub fn begin(executor: &Executor, header: CallHeader, tool: &str, arguments: &str) -> Call {
    let modern = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#;
    let meta = if header.era == Era::Modern { modern } else { "" };
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":"client-1","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{{meta}"progressToken":"client token"}}}}}}"#
    );
    let (events, arrivals) = mpsc::channel(4);
    let (end, ended) = oneshot::channel();
    let handle = executor.run(header, message.into(), Box::new(Sink { events, end }));
    Call { events: arrivals, end: ended, handle }
}

impl Call {
    /// Returns all events and the end.
    pub async fn all(mut self) -> (Vec<Value>, CallEnd) {
        let mut events = Vec::new();
        within(async {
            while let Some(event) = self.events.recv().await {
                events.push(serde_json::from_slice(&event).unwrap());
            }
        })
        .await;
        (events, within(self.end).await.unwrap())
    }
}

/// Returns the end of a legacy client's call.
pub async fn call(executor: &Executor, tool: &str, arguments: &str) -> CallEnd {
    begin(executor, header(Era::Legacy), tool, arguments).all().await.1
}

/// Returns the text of a result that is no error.
pub fn text(end: &CallEnd) -> String {
    let value = json(end);
    assert!(!end.error, "{value}");
    value["content"][0]["text"].as_str().unwrap().to_owned()
}

/// Returns the payload of an end.
pub fn json(end: &CallEnd) -> Value {
    serde_json::from_slice(&end.payload).unwrap()
}

/// Returns the kind of a failure.
pub fn kind(end: &CallEnd) -> String {
    let value = json(end);
    assert!(end.error, "{value}");
    value["data"]["kind"].as_str().unwrap().to_owned()
}

/// Returns whether a process runs (a zombie does not).
pub fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}
