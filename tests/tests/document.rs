//! The examples of the documentation as written, on ports 8000, 8001 and 9000, one after the other.
//!
//! Run by `make test-proxy`. Fails, and says so, where one of the ports is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::net::{SocketAddr, TcpListener};

use harness::client::Client;
use harness::metrics::Scrape;
use harness::process::Process;
use harness::relay::Setup;
use harness::{http, wait};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::Mutex;

const EXAMPLES: &str = include_str!("../fixtures/proxy-mode-examples.md");

/// The ports are fixed, so the tests of this file run one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn ports_must_be_free() {
    for port in [8000, 8001, 9000] {
        for host in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            let free = TcpListener::bind(SocketAddr::from((host, port)));
            assert!(
                free.is_ok(),
                "port {port} is taken: the document's test needs 8000, 8001 and 9000. Stop what uses it and run again."
            );
        }
    }
}

/// Variables of an example, as a shell or Compose sets them.
#[derive(Clone, Debug)]
struct Example {
    title: String,
    variables: Vec<(String, String)>,
}

impl Example {
    fn get(&self, name: &str) -> &str {
        self.variables.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn is_proxy(&self) -> bool {
        self.get("PROXY_MODE") == "1"
    }

    fn setup(&self) -> Setup {
        self.variables
            .iter()
            .fold(Setup::bare(&self.title), |setup, (key, value)| setup.env(key, value.as_str()))
    }
}

/// Reads `NAME=value`, `export NAME=value` and `- NAME=value` lines; a service's name begins another example.
fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut fenced = false;
    let mut heading = String::new();
    for line in EXAMPLES.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        }
        if line.starts_with("```") {
            fenced = !fenced;
            if fenced {
                found.push(Example { title: heading.clone(), variables: Vec::new() });
            }
        } else if fenced {
            let service = line
                .strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '))
                .and_then(|rest| rest.strip_suffix(':'));
            if let Some(service) = service {
                found.push(Example { title: format!("{heading}: {service}"), variables: Vec::new() });
            }
            found.last_mut().unwrap().variables.extend(variable(line));
        }
    }
    found.retain(|example| !example.variables.is_empty());
    found
}

fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").or(line.strip_prefix("- ")).unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let named = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    // Compose puts nothing in the place of a variable that the host does not set.
    let value = if value.starts_with("${") { "" } else { value };
    named.then(|| (name.to_owned(), value.to_owned()))
}

async fn stop(mut process: Process) {
    process.signal(Signal::SIGTERM);
    assert_eq!(process.exit(harness::wait::TIMEOUT).await.code(), Some(0));
}

#[test]
fn every_example_of_the_document_is_read() {
    let all = examples();
    let proxies = all.iter().filter(|example| example.is_proxy()).count();
    assert_eq!((all.len(), proxies), (7, 3), "{all:?}");
    assert_eq!(all[1].get("GITLAB_TOKEN"), "your_token_here");
    assert_eq!(all[5].get("GITLAB_API"), "");
    assert_eq!(all[6].get("SLAVE_CODE"), "secret456");
}

#[tokio::test]
async fn the_document_s_five_steps() {
    let _turn = TURN.lock().await;
    ports_must_be_free();
    let all = examples();
    let (proxy, slave) = (&all[2], &all[3]);
    // 1. Start a proxy server on port 8000 (HTTP) and 8001 (WebSocket).
    let proxy = proxy.setup().spawn();
    proxy.log.wait_for("[PROXY] MCP server listening on http://127.0.0.1:8000").await;
    proxy.log.wait_for("[PROXY] WebSocket server listening on ws://0.0.0.0:8001").await;
    proxy.log.wait_for("Ready to accept MCP client connections").await;
    // 2. Start a slave server on port 9000 with connection to the proxy.
    let slave = slave.setup().env("DEMO_TOOLS", "1").spawn();
    slave.log.wait_for("[SLAVE] MCP server listening on http://127.0.0.1:9000").await;
    slave.log.wait_for("[SLAVE] Authentication successful, ready to receive requests").await;
    // 3. Send test requests to both servers.
    for port in [8000, 9000] {
        let client = Client::legacy(local(port)).await;
        wait::until("the demo tools", async || {
            client.tool_names().await.contains(&"echo".into()).then_some(())
        })
        .await;
        let text = format!("to port {port}");
        assert_eq!(client.call("echo", json!({ "text": text })).await.text(), text);
        assert_eq!(Client::modern(local(port)).call("echo", json!({ "text": text })).await.text(), text);
        assert_eq!(http::get(local(port), "/health").await.0, 200);
    }
    // 4. Verify that requests to the proxy are forwarded to the slave.
    proxy.log.wait_for("[PROXY] Forwarding request to slave: tools/call").await;
    let forwards = Scrape::of(local(8000)).await.sum("mcp_relay_forwards_total", &["tool=\"echo\""]);
    assert!((forwards - 2.0).abs() < 0.1, "{forwards} forwards");
    slave.log.wait_for("[SLAVE] Received request from proxy: tools/call").await;
    slave.log.wait_for("[SLAVE] Executing tool locally").await;
    // 5. Clean up and report results.
    stop(slave).await;
    stop(proxy).await;
    ports_must_be_free();
}

#[tokio::test]
async fn every_example_starts_as_written() {
    let _turn = TURN.lock().await;
    for example in examples() {
        ports_must_be_free();
        let process = example.setup().spawn();
        if example.is_proxy() {
            process.log.wait_for("[PROXY] WebSocket server listening on ws://0.0.0.0:8001").await;
            process.log.wait_for("[PROXY] MCP server listening on http://127.0.0.1:8000").await;
        } else {
            process.log.wait_for("[SLAVE] MCP server listening on http://127.0.0.1:9000").await;
            let url = example.get("PROXY_SERVER_URL");
            process.log.wait_for(&format!("[SLAVE] Connecting to proxy server at {url}")).await;
        }
        stop(process).await;
    }
}

#[tokio::test]
async fn the_compose_services_work_together() {
    let _turn = TURN.lock().await;
    ports_must_be_free();
    let services: Vec<Example> =
        examples().into_iter().filter(|e| e.title.starts_with("Using Docker Compose")).collect();
    let proxy = services[0].setup().spawn();
    proxy.log.wait_for("[PROXY] WebSocket server listening on ws://0.0.0.0:8001").await;
    let mut slaves = Vec::new();
    for (service, port) in services[1..].iter().zip(["9000", "0"]) {
        // Compose gives each service an address and ports of its own; here they share the loopback.
        let url = service.get("PROXY_SERVER_URL").replace("//proxy:", "//localhost:");
        let setup = service.setup().env("PROXY_SERVER_URL", url).env("MCP_SERVER_PORT", port);
        let slave = setup.env("SLAVE_NAME", service.title.rsplit(' ').next().unwrap()).spawn();
        slave.log.wait_for("[SLAVE] Authentication successful, ready to receive requests").await;
        slaves.push(slave);
    }
    wait::until("both slaves at once", async || {
        (proxy.log.count("[PROXY] Slave authenticated successfully") == 2).then_some(())
    })
    .await;
    assert_eq!(proxy.log.count("[PROXY] Active slave disconnected"), 0);
    for slave in slaves {
        stop(slave).await;
    }
    stop(proxy).await;
}
