//! Health endpoints and metrics agree with the results of real calls.

use harness::client::{Client, McpRequest};
use harness::http::get;
use harness::metrics::Scrape;
use harness::relay::{Setup, pair};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[tokio::test]
async fn a_proxy_that_wants_a_slave_is_ready_only_with_one() {
    let proxy = Setup::proxy().env("READY_MIN_SLAVES", "1").start_proxy().await;
    assert_eq!(get(proxy.http, "/healthz").await.0, 200, "alive");
    assert_eq!(get(proxy.http, "/readyz").await.0, 503, "but not ready");
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    wait::until("readiness", async || (get(proxy.http, "/readyz").await.0 == 200).then_some(())).await;
    proxy.offers("echo").await;
    slave.signal(Signal::SIGKILL);
    wait::until("unreadiness", async || (get(proxy.http, "/readyz").await.0 == 503).then_some(())).await;
    assert_eq!(Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await.code(), -31000);
    assert_eq!(get(proxy.http, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_existing_server_s_health_is_there_on_both_sides() {
    let (proxy, slave) = pair().await;
    let _session = Client::legacy(proxy.http).await;
    for address in [proxy.http, slave.http] {
        let (status, body) = get(address, "/health").await;
        let health: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &health["status"]), (200, &json!("ok")), "{body}");
        assert!(health["server"].is_string() && health["version"].is_string(), "{body}");
        assert!(health["protocol"].is_string() && health["activeSessions"].is_number(), "{body}");
        assert_eq!(get(address, "/healthz").await.0, 200);
        assert_eq!(get(address, "/readyz").await.0, 200);
    }
}

#[tokio::test]
async fn every_event_moves_its_metric() {
    let proxy = Setup::proxy().env("REQUEST_TIMEOUT", "0.5").start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let before = Scrape::of(proxy.http).await;
    let client = Client::modern(proxy.http);
    for _ in 0..3 {
        client.call("echo", json!({ "text": "x" })).await.result();
    }
    client.call("fail", json!({ "message": "x" })).await.result();
    client.call("sleep", json!({ "seconds": 30, "steps": 1 })).await.error();
    assert!(harness::plain::node_slave(proxy.link, "wrong").await.is_err());
    let after = Scrape::of(proxy.http).await;
    let moved = |name: &str, labels: &[&str]| after.sum(name, labels) - before.sum(name, labels);
    let rows: [(&str, &[&str], f64); 6] = [
        ("mcp_relay_forwards_total", &["tool=\"echo\"", "method=\"tools/call\"", "outcome=\"ok\""], 3.0),
        ("mcp_relay_forwards_total", &["tool=\"fail\"", "outcome=\"tool_error\""], 1.0),
        ("mcp_relay_forwards_total", &["tool=\"sleep\"", "outcome=\"timeout\""], 1.0),
        // Both ends keep the timeout: it counts once, whichever was first.
        ("mcp_relay_timeouts_total", &[], 1.0),
        ("mcp_relay_forward_duration_seconds_count", &[], 5.0),
        ("mcp_relay_link_auth_failures_total", &[], 1.0),
    ];
    for (name, labels, expected) in rows {
        let found = moved(name, labels);
        assert!(
            (found - expected).abs() < 0.1,
            "{name} {labels:?}: {found}, not {expected}\n{}",
            after.text()
        );
    }
    assert!(after.text().contains("mcp_relay_forward_duration_seconds_bucket{"), "a histogram has buckets");
    assert!(moved("mcp_relay_link_bytes_total", &[]) > 100.0, "{}", after.text());
    let state = after.sum("mcp_relay_slave_state", &["slave=\"one\"", "state=\"ready\""]);
    assert!((state - 1.0).abs() < 0.1, "{}", after.text());
    slave.signal(Signal::SIGKILL);
    wait::until("the disconnect to be counted", async || {
        (Scrape::of(proxy.http).await.sum("mcp_relay_link_disconnects_total", &[]) > 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_in_flight_are_counted_while_they_run() {
    let (proxy, _slave) = pair().await;
    let client = Client::modern(proxy.http);
    let in_flight = async || Scrape::of(proxy.http).await.sum("mcp_relay_calls_in_flight", &[]);
    let mut pending =
        client.start(McpRequest::tool(1, "sleep", json!({ "seconds": 60, "steps": 600 })).progress(1)).await;
    pending.next().await.unwrap();
    assert!((in_flight().await - 1.0).abs() < 0.1);
    drop(pending);
    wait::until("no call in flight", async || (in_flight().await < 0.5).then_some(())).await;
}

#[tokio::test]
async fn every_metric_has_help_and_type_and_none_is_a_summary() {
    let (proxy, slave) = pair().await;
    Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await.result();
    for address in [proxy.http, slave.http] {
        let scrape = Scrape::of(address).await;
        assert!(scrape.names().len() > 5, "{}", scrape.text());
        for name in scrape.names() {
            assert!(scrape.text().contains(&format!("# HELP {name} ")), "{name} has no help");
        }
        assert!(!scrape.text().contains(" summary\n"), "a histogram without buckets became a summary");
    }
}
