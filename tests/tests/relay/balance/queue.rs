//! Queues: calls wait in order while every slave is full, leave when they are cancelled, and fail after the longest wait.

use futures_util::future::join_all;
use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http::{Exchange, request};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, sleep_args};
use harness::wait;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{gated, narrow, waiting};

#[tokio::test]
async fn fifty_calls_at_once_are_answered_by_a_slave_of_capacity_one() {
    let proxy = Setup::proxy().env("QUEUE_TIMEOUT", "60").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1").start_slave().await;
    proxy.offers("sleep").await;
    let (modern, legacy) = (Client::modern(proxy.http), Client::legacy(proxy.http).await);
    let calls = (0..50).map(|n| {
        let client = if n % 2 == 0 { &modern } else { &legacy };
        client.request(McpRequest::tool(n, "sleep", sleep_args(0.02, 1)))
    });
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.response()["id"], n);
        answer.result();
    }
    let scrape = Scrape::of(proxy.http).await;
    assert!(scrape.sum("mcp_relay_queue_wait_seconds_count", &["outcome=\"sent\""]) > 30.0);
    assert!(scrape.sum("mcp_relay_queue_length", &[]) < 0.5);
}

#[tokio::test]
async fn a_full_queue_answers_busy_with_a_retry_after() {
    let (proxy, _slave, fixture) = narrow(Setup::proxy().env("QUEUE_MAX", "1")).await;
    let (modern, legacy) = (Client::modern(proxy.http), Client::legacy(proxy.http).await);
    let mut running = modern.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let mut queued = modern.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    waiting(&proxy, 1).await;
    for client in [&modern, &legacy] {
        let mut refused = client.start(McpRequest::tool(3, "run", gated(&fixture, "c"))).await;
        let answer = refused.finish().await;
        assert_eq!((answer.status, answer.kind()), (503, "busy"), "{:?}", answer.messages);
        let seconds: u64 = refused.exchange.header("retry-after").parse().expect("Retry-After");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(answer.error()["data"]["retryAfter"], seconds);
    }
    fixture.open_gate("a", 9);
    fixture.open_gate("b", 9);
    assert_eq!(running.finish().await.text(), "done a");
    assert_eq!(queued.finish().await.text(), "done b");
    let refusals = Scrape::of(proxy.http).await.sum("mcp_relay_refusals_total", &["reason=\"queue_full\""]);
    assert!((refusals - 2.0).abs() < 0.1, "{refusals}");
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_busy_also_in_a_batch() {
    let (proxy, _slave, fixture) = narrow(Setup::proxy().env("QUEUE_TIMEOUT", "0.5")).await;
    let modern = Client::modern(proxy.http);
    let mut running = modern.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let mut late = modern.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    let answer = late.finish().await;
    assert_eq!((answer.status, answer.kind()), (503, "busy"));
    assert!(!late.exchange.header("retry-after").is_empty());
    let batches = Client::legacy_on(proxy.http, "/mcp", "2025-03-26").await;
    let call = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "run", "arguments": gated(&fixture, "c") } });
    let mut exchange = batches.post(json!([call(7), call(8)]).to_string().as_bytes()).await;
    let body = String::from_utf8(exchange.rest().await).unwrap();
    assert_eq!(body.matches("\"busy\"").count(), 2, "{body}");
    assert!(fixture.log("b").is_empty() && fixture.log("c").is_empty(), "they never ran");
    fixture.open_gate("a", 9);
    running.finish().await.result();
}

/// Waits until `count` calls are queued at a proxy with keys.
async fn waiting_behind_a_key(proxy: &Proxy, key: &str, calls: u32) {
    let wanted = format!("mcp_relay_queue_length{{tool=\"run\"}} {calls}");
    let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
    wait::until(&wanted, async || {
        let asked = request(Method::GET, "/metrics", &headers, Vec::new());
        let mut exchange = Exchange::start(proxy.http, asked).await;
        exchange.head().await;
        let text = String::from_utf8(exchange.rest().await).unwrap();
        text.lines().any(|line| line == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_one_client_does_not_hold_up_another() {
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS", "one,two").env("QUEUE_TIMEOUT", "60");
    let proxy = setup.start_proxy().await;
    let fixture = Fixture::default();
    let _slave =
        fixture.serve(Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1")).start_slave().await;
    let client =
        |key: &str| Client::modern(proxy.http).with_header("authorization", &format!("Bearer {key}"));
    let (flooding, other) = (client("one"), client("two"));
    wait::until("the tool", async || other.tool_names().await.contains(&"run".to_owned()).then_some(()))
        .await;
    let mut running = flooding.start(McpRequest::tool(1, "run", gated(&fixture, "f0"))).await;
    fixture.wait_for("f0", "start").await;
    let mut flood = Vec::new();
    for n in 1..10 {
        flood.push(flooding.start(McpRequest::tool(1, "run", gated(&fixture, &format!("f{n}")))).await);
        // Each call is queued before the next one is sent: the gates below are opened in this order.
        waiting_behind_a_key(&proxy, "one", n).await;
    }
    let mut patient = other.start(McpRequest::tool(1, "run", run_args("p", 0))).await;
    waiting_behind_a_key(&proxy, "one", 10).await;
    fixture.open_gate("p", 9);
    for n in 0..10 {
        fixture.open_gate(&format!("f{n}"), 9);
        if n == 1 {
            // In the fair order only one call of the flood comes before it.
            assert_eq!(patient.finish().await.text(), "done p");
            assert!(fixture.log("f9").is_empty());
        }
    }
    assert_eq!(running.finish().await.text(), "done f0");
    for (n, call) in flood.iter_mut().enumerate() {
        assert_eq!(call.finish().await.text(), format!("done f{}", n + 1));
    }
}

#[tokio::test]
async fn cancelled_calls_leave_the_queue_and_never_run() {
    let (proxy, _slave, fixture) = narrow(Setup::proxy().env("QUEUE_TIMEOUT", "60")).await;
    let (modern, legacy) = (Client::modern(proxy.http), Client::legacy(proxy.http).await);
    let mut running = modern.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let gone = modern.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    let mut cancelled = legacy.start(McpRequest::tool("c", "run", gated(&fixture, "c"))).await;
    let left = legacy.start(McpRequest::tool(4, "run", gated(&fixture, "d"))).await;
    waiting(&proxy, 3).await;
    drop(gone);
    waiting(&proxy, 2).await;
    legacy.cancel("c").await;
    assert!(cancelled.finish().await.messages.is_empty(), "a cancelled request is not answered");
    waiting(&proxy, 1).await;
    drop(left);
    waiting(&proxy, 0).await;
    fixture.open_gate("a", 9);
    assert_eq!(running.finish().await.text(), "done a");
    // The slave is free for the next call.
    fixture.open_gate("e", 9);
    assert_eq!(modern.call("run", run_args("e", 0)).await.text(), "done e");
    assert!(["b", "c", "d"].iter().all(|key| fixture.log(key).is_empty()), "none of them ran");
}

#[tokio::test]
async fn a_slave_that_joins_takes_what_waits() {
    let (proxy, _slave, fixture) = narrow(Setup::proxy().env("QUEUE_TIMEOUT", "60")).await;
    let client = Client::modern(proxy.http);
    let _running = client.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let mut queued = client.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    waiting(&proxy, 1).await;
    let relief = Fixture::default();
    relief.open_gate("b", 9);
    let _two = relief.serve(Setup::slave("two", proxy.link)).start_slave().await;
    assert_eq!(queued.finish().await.text(), "done b");
    assert!(!relief.log("b").is_empty());
}

#[tokio::test]
async fn waiting_calls_look_for_a_slave_when_the_last_one_goes() {
    let (proxy, slave, fixture) = narrow(Setup::proxy().env("QUEUE_TIMEOUT", "60")).await;
    let client = Client::modern(proxy.http);
    let mut running = client.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let mut queued = client.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    waiting(&proxy, 1).await;
    drop(slave);
    fixture.open_gate("b", 9);
    let again = Fixture::default();
    again.open_gate("b", 9);
    let _slave = again.serve(Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1")).start_slave().await;
    assert_eq!(queued.finish().await.text(), "done b");
    let _ = &mut running;
}

#[tokio::test]
async fn waiting_calls_finish_while_the_proxy_drains() {
    let (proxy, _slave, fixture) = narrow(Setup::proxy().env("QUEUE_TIMEOUT", "60")).await;
    let client = Client::modern(proxy.http);
    let mut running = client.start(McpRequest::tool(1, "run", gated(&fixture, "a"))).await;
    fixture.wait_for("a", "start").await;
    let mut queued = client.start(McpRequest::tool(2, "run", gated(&fixture, "b"))).await;
    waiting(&proxy, 1).await;
    proxy.signal(Signal::SIGTERM);
    proxy.log.wait_for("Shutting down").await;
    fixture.open_gate("a", 9);
    fixture.open_gate("b", 9);
    assert_eq!(running.finish().await.text(), "done a");
    assert_eq!(queued.finish().await.text(), "done b");
}
