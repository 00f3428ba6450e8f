//! `OPS_PORT`: the operators' paths are on a separate port, and no longer on that of clients.

use std::net::SocketAddr;

use harness::client::Client;
use harness::http::{Exchange, get, request, try_status};
use harness::process::Process;
use harness::relay::{Setup, pair, port};
use harness::tls::{Authority, tunnel};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;

/// Paths of the port, and whether they need a key where keys are set.
const PATHS: [(&str, bool); 4] =
    [("/healthz", false), ("/readyz", false), ("/metrics", true), ("/api/v1/status", true)];

async fn ops(process: &Process) -> SocketAddr {
    port(process, "Ops server listening on http").await
}

async fn status(address: SocketAddr, path: &str, key: &str) -> u16 {
    let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
    let mut exchange = Exchange::start(address, request(Method::GET, path, &headers, Vec::new())).await;
    exchange.head().await;
    exchange.status.as_u16()
}

#[tokio::test]
async fn clients_and_operators_share_a_port_by_default() {
    let (proxy, slave) = pair().await;
    for address in [proxy.http, slave.http] {
        for (path, _) in PATHS {
            assert_eq!(get(address, path).await.0, 200, "{path}");
        }
    }
    assert_eq!(proxy.log.count("Ops server listening"), 0);
}

#[tokio::test]
async fn an_ops_port_takes_the_paths_away_from_clients() {
    let setup = Setup::proxy().env("OPS_PORT", "0").env("UI", "1").env("AUTH_BEARER_KEYS", "key1");
    let proxy = setup.start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("OPS_PORT", "0").env("UI", "1");
    let slave = setup.env("AUTH_BEARER_KEYS", "key1").start_slave().await;
    for (clients, operators) in [(proxy.http, ops(&proxy).await), (slave.http, ops(&slave).await)] {
        wait::until("readiness", async || (get(operators, "/readyz").await.0 == 200).then_some(())).await;
        for (path, keyed) in PATHS {
            assert_eq!(status(operators, path, "key1").await, 200, "{path}");
            let without = if keyed { 401 } else { 200 };
            assert_eq!(get(operators, path).await.0, without, "{path}");
            assert_eq!(status(operators, path, "key2").await, without, "{path}");
            assert_eq!(status(clients, path, "key1").await, 404, "{path}");
        }
        for path in ["/ui", "/ui/", "/ui/page.js", "/api/v1/routes/explain"] {
            assert_eq!(status(clients, path, "key1").await, 404, "{path}");
        }
        assert_eq!(get(operators, "/ui/").await.0, 200, "it says nothing of this server");
        // The check of the existing server stays on the clients' port.
        assert_eq!(get(clients, "/health").await.0, 200);
        assert_eq!(get(operators, "/health").await.0, 200);
        let (status, text) = get(operators, "/mcp").await;
        assert!(status == 404 && text.contains("MCP_SERVER_PORT"), "{status} {text}");
    }
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer key1");
    assert_eq!(client.call("echo", json!({ "text": "x" })).await.text(), "x");
}

#[tokio::test]
async fn the_ops_port_answers_while_the_clients_port_drains() {
    let proxy = Setup::proxy().env("OPS_PORT", "0").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let operators = ops(&proxy).await;
    let client = Client::modern(proxy.http);
    let mut call = client
        .start(
            harness::client::McpRequest::tool(1, "sleep", json!({ "seconds": 3, "steps": 30 })).progress(1),
        )
        .await;
    call.next().await.unwrap();
    proxy.signal(Signal::SIGTERM);
    proxy.log.wait_for("Shutting down").await;
    let (status, why) = get(operators, "/readyz").await;
    assert!(status == 503 && why.contains("shutting down"), "{status} {why}");
    assert_eq!(get(operators, "/healthz").await.0, 200);
    drop(call);
}

#[tokio::test]
async fn the_ops_port_speaks_tls_as_the_clients_port_does_by_default() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost", "127.0.0.1"]);
    let file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let setup =
        Setup::proxy().env("TLS_CERT", file(&own.cert)).env("TLS_KEY", file(&own.key)).env("OPS_PORT", "0");
    let proxy = setup.start_proxy().await;
    proxy.log.wait_for("Ops server listening on https://").await;
    let operators = ops(&proxy).await;
    assert_ne!(try_status(operators, "/healthz").await, Some(200), "plain words lead nowhere");
    let inside = tunnel(operators, authority.client(None)).await;
    assert_eq!(get(inside, "/readyz").await.0, 200);
    for (variable, value) in [("TLS_HTTP", "0"), ("TLS_OPS", "0")] {
        let proxy = setup.clone().env(variable, value).start_proxy().await;
        assert_eq!(get(ops(&proxy).await, "/readyz").await.0, 200, "{variable}");
    }
}

#[tokio::test]
async fn health_and_doctor_ask_the_ops_port() {
    let proxy = Setup::proxy().env("OPS_PORT", "0").start_proxy().await;
    let (operators, clients) = (ops(&proxy).await.port().to_string(), proxy.http.port().to_string());
    let own = |command: &'static str| {
        Setup::proxy()
            .env("MCP_SERVER_PORT", clients.as_str())
            .env("OPS_PORT", operators.as_str())
            .args(&[command])
            .spawn()
    };
    let mut health = own("health");
    assert_eq!(health.exit(wait::TIMEOUT).await.code(), Some(0));
    health.log.wait_for(&format!(":{operators} is alive")).await;
    let mut doctor = own("doctor");
    doctor.exit(wait::TIMEOUT).await;
    doctor.log.wait_for("a proxy runs on").await;
    doctor.log.wait_for("ops port: not checked (the running server has it)").await;
}
