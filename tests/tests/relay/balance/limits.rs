//! Rate limits: 429 with `Retry-After` in both eras; slaves' limits spread calls and make them wait.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::client::{Client, McpRequest};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::wait::{self, TIMEOUT};
use serde_json::json;

/// Where a test's `ROUTES` file is, with this text.
fn routes(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("routes.yaml");
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, &path).unwrap();
    path
}

async fn refusals(proxy: &Proxy, reason: &str) -> f64 {
    let label = format!("reason={reason:?}");
    Scrape::of(proxy.http).await.sum("mcp_relay_refusals_total", &[&label])
}

#[tokio::test]
async fn clients_over_their_rate_get_a_retry_after_in_both_eras() {
    let proxy = Setup::proxy().env("RATE_LIMIT_CLIENT", "2/h").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let (modern, legacy) = (Client::modern(proxy.http), Client::legacy(proxy.http).await);
    modern.call("echo", json!({ "text": "1" })).await.result();
    legacy.call("echo", json!({ "text": "2" })).await.result();
    for client in [&modern, &legacy] {
        let mut refused = client.start(McpRequest::tool(3, "echo", json!({ "text": "3" }))).await;
        let answer = refused.finish().await;
        assert_eq!((answer.status, answer.kind(), answer.code()), (429, "rate_limited", -31008));
        let seconds: u64 = refused.exchange.header("retry-after").parse().expect("Retry-After");
        assert!((1700..=1800).contains(&seconds), "{seconds}");
        assert_eq!(answer.error()["data"]["retryAfter"], seconds);
    }
    let batches = Client::legacy_on(proxy.http, "/mcp", "2025-03-26").await;
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "echo", "arguments": { "text": "x" } } });
    let mut exchange = batches.post(json!([call]).to_string().as_bytes()).await;
    assert_eq!(exchange.status.as_u16(), 200);
    let body = String::from_utf8(exchange.rest().await).unwrap();
    assert!(body.contains("\"rate_limited\"") && body.contains("\"id\":7"), "{body}");
    assert!((refusals(&proxy, "rate_limited_client").await - 3.0).abs() < 0.1);
}

#[tokio::test]
async fn a_changed_file_changes_the_limits_it_changes_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = routes(folder.path(), "limits: { tools: [{ tool: ec*, rate: 1/h }] }");
    let proxy = Setup::proxy().env("ROUTES", path.to_str().unwrap()).start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    client.call("echo", json!({ "text": "1" })).await.result();
    assert_eq!(client.call("echo", json!({ "text": "2" })).await.kind(), "rate_limited");
    // Another tool has a limit of its own.
    client.call("payload", json!({ "bytes": 1 })).await.result();
    routes(folder.path(), "limits: { tools: [{ tool: ec*, rate: 1/h }, { tool: payload, rate: 1/h }] }");
    wait::until("the new limit", async || {
        let answer = client.call("payload", json!({ "bytes": 1 })).await;
        answer.response().get("error").map(|_| ())
    })
    .await;
    assert_eq!(client.call("echo", json!({ "text": "3" })).await.kind(), "rate_limited", "it counts on");
    routes(folder.path(), "limits: {}");
    wait::until("no limit", async || {
        client.call("echo", json!({ "text": "4" })).await.response().get("result").map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn calls_beyond_a_slave_s_rate_go_to_others_and_then_wait() {
    let proxy = Setup::proxy().env("RATE_LIMIT_SLAVE", "10/s:2").start_proxy().await;
    let _one = Setup::slave("one", proxy.link).start_slave().await;
    let _two = Setup::slave("two", proxy.link).start_slave().await;
    proxy.accepted(2).await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    let since = Instant::now();
    let calls = (0..24).map(|n| client.request(McpRequest::tool(n, "echo", json!({ "text": "x" }))));
    for answer in join_all(calls).await {
        answer.result();
    }
    // A burst of four, then twenty calls a second.
    assert!(since.elapsed() >= Duration::from_millis(900), "{:?}", since.elapsed());
    assert!(refusals(&proxy, "rate_limited_slave_wait").await > 10.0);
}

#[tokio::test]
async fn a_file_with_mistakes_is_refused_with_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "limits:\n  clients: { ghost: 5/s, default: fast }\n  slaves: [{ rate: 1/s }]\npools:\n  - { tool: t, sticky: maybe, queue_max: -1, weights: [{ to: { a: b }, weight: 0 }] }\n";
    let path = routes(folder.path(), text);
    let mut process = Setup::proxy().env("ROUTES", path.to_str().unwrap()).spawn();
    assert_eq!(process.exit(TIMEOUT).await.code(), Some(64));
    let log = process.log.text();
    for part in [
        "line 2 limits.clients.ghost",
        "line 2 limits.clients.default",
        "line 3 limits.slaves[0]",
        "line 5 pools[0].sticky",
        "line 5 pools[0].queue_max",
        "line 5 pools[0].weights[0].weight",
    ] {
        assert!(log.contains(part), "{part}:\n{log}");
    }
}
