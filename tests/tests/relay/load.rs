//! Many concurrent and large calls: no call waits for another, and memory stays bounded.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::client::{Client, McpRequest};
use harness::relay::{pair, sleep_args};
use harness::wait;
use serde_json::json;

#[tokio::test]
async fn a_client_that_stops_reading_slows_only_itself() {
    let (proxy, slave) = pair().await;
    let client = Client::modern(proxy.http);
    let (proxy_before, slave_before) = (proxy.resident(), slave.resident());
    let mut large = client.start(McpRequest::tool(1, "payload", json!({ "bytes": 50_000_000 }))).await;
    // After the head the result is being sent; then nothing is read for a while.
    large.exchange.head().await;
    for n in 0..50 {
        let text = format!("small {n}");
        let call = client.call("echo", json!({ "text": text }));
        let answer = wait::within("a small call beside a large one", wait::TIMEOUT, call).await;
        assert_eq!(answer.text(), text);
    }
    let proxy_grown = proxy.resident().saturating_sub(proxy_before);
    assert!(proxy_grown < 32 << 20, "the proxy grew by {proxy_grown} bytes beside a 50 MB result");
    assert_eq!(large.finish().await.text().len(), 50_000_000);
    let _ = slave_before;
    // The slave must free delivered results.
    wait::until("the slave to free the result", async || {
        (slave.resident() < slave_before + (96 << 20)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hundred_slow_calls_run_side_by_side() {
    let (proxy, _slave) = pair().await;
    let client = Client::modern(proxy.http);
    let since = Instant::now();
    let calls =
        (0..100).map(|n| client.request(McpRequest::tool(n, "sleep", sleep_args(2.0, 2)).progress(n)));
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.response()["id"], n);
        assert_eq!(answer.progress().len(), 2, "{:?}", answer.messages);
        answer.result();
        let tokens = answer.messages.iter().filter_map(|m| m["params"]["progressToken"].as_u64());
        assert!(tokens.into_iter().all(|token| token == n as u64), "{:?}", answer.messages);
    }
    assert!(since.elapsed() < Duration::from_secs(100), "{:?} for 100 calls of 2 s at once", since.elapsed());
}

#[tokio::test]
async fn large_arguments_and_results_come_through_whole() {
    let (proxy, _slave) = pair().await;
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        let text: String =
            (0..2_000_000).map(|n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
        assert!(
            client.call("echo", json!({ "text": text })).await.text() == text,
            "2 MB come back as they went"
        );
    }
}

#[tokio::test]
async fn abandoned_sessions_cost_nothing() {
    let (proxy, _slave) = pair().await;
    let open = async |count: usize| {
        for _ in 0..count / 20 {
            join_all((0..20).map(|_| Client::legacy(proxy.http))).await;
        }
    };
    // Warms up allocators and buffers.
    open(400).await;
    let (memory, files) = (proxy.resident(), proxy.descriptors());
    open(2000).await;
    let grown = proxy.resident().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes for 2000 sessions that no one ended");
    wait::until("connections to be closed", async || (proxy.descriptors() <= files + 5).then_some(())).await;
}

#[tokio::test]
async fn calls_of_clients_that_went_away_are_not_kept() {
    let (proxy, slave) = pair().await;
    let client = Client::modern(proxy.http);
    let files = proxy.descriptors();
    for _ in 0..5 {
        let calls =
            (0..20).map(|n| client.start(McpRequest::tool(n, "sleep", sleep_args(60.0, 600)).progress(n)));
        for mut pending in join_all(calls).await {
            pending.next().await.expect("progress");
        }
    }
    wait::until("connections to be closed", async || (proxy.descriptors() <= files + 5).then_some(())).await;
    let idle = |text: &str| {
        let gauges = text.lines().filter(|l| l.contains("in_flight") && !l.starts_with('#'));
        gauges.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() < 0.5
    };
    for address in [proxy.http, slave.http] {
        wait::until("no call in flight", async || {
            idle(harness::metrics::Scrape::of(address).await.text()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_that_says_nothing_is_kept_alive_on_the_way() {
    let (proxy, _slave) = pair().await;
    let client = Client::modern(proxy.http);
    let mut quiet = client.start(McpRequest::tool(2, "sleep", sleep_args(1200.0, 1))).await;
    let signs = async {
        // Load balancers close connections that are silent for a minute: headers arrive in time, and comments after them.
        quiet.exchange.head().await;
        quiet.exchange.try_chunk().await.expect("an open stream").expect("no end")
    };
    let chunk = wait::within("a sign of life", Duration::from_secs(45), signs).await;
    assert!(chunk.starts_with(b":"), "a comment, not {chunk:?}");
}
