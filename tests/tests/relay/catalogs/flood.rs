//! A flood of catalogs, changes and links from one code: a witness of another code keeps its calls, and memory stays bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harness::client::Client;
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, definition};
use harness::relay::{Proxy, Setup};
use serde_json::{Value, json};

use super::limits::{mallory, proxy};

/// Calls of the witness during the flood.
const CALLS: usize = 100;

/// Memory that the proxy may grow by, in bytes: a few times what the code's catalogs may have.
const CEILING: u64 = 128 << 20;

/// What the flood sends, until it is stopped.
#[derive(Default)]
struct Flood {
    stopped: AtomicBool,
    sent: AtomicUsize,
}

impl Flood {
    fn goes_on(&self) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        !self.stopped.load(Ordering::Relaxed)
    }
}

fn part(backend: &str, items: &[Value]) -> Value {
    json!({ "backend": backend, "lists": { "tools": { "items": items } } })
}

/// Changes its catalog without an end: other tools each time, sometimes more than it may have.
async fn change(mut slave: RawSlave, number: usize, flood: Arc<Flood>) {
    let large = json!({ "name": "large", "description": "x".repeat(1 << 20) });
    let mut round = 0;
    while flood.goes_on() {
        round += 1;
        let many: Vec<Value> = (0..50).map(|n| definition(&format!("m{number}_{round}_{n}"))).collect();
        slave.part(&part(&format!("b{}", round % 8), &many)).await;
        slave.part(&json!({ "slave": { "complete": true, "health": { "state": "degraded", "reason": round.to_string() } } })).await;
        if round % 16 == 0 {
            slave.part(&part("large", std::slice::from_ref(&large))).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Links again and again.
async fn link(proxy: Arc<Proxy>, number: usize, flood: Arc<Flood>) {
    while flood.goes_on() {
        let mut slave = mallory(&proxy, &format!("mallory-{number}")).await;
        slave.part(&part("b", &[definition(&format!("link{number}"))])).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_code_costs_a_witness_of_another_neither_calls_nor_memory() {
    let (proxy, _dir) = proxy("{links: 20}").await;
    let setup = Setup::slave("witness", proxy.link).env("SLAVE_CODE", "code-of-the-witness");
    let setup = setup.env("LINK_PING_TIMEOUT_MS", "60000");
    let _witness = setup.start_slave().await;
    proxy.offers("echo").await;
    let before = proxy.resident();
    let (proxy, flood) = (Arc::new(proxy), Arc::new(Flood::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let slave = mallory(&proxy, &format!("mallory-{number}")).await;
        tasks.spawn(change(slave, number, Arc::clone(&flood)));
    }
    for number in 0..2 {
        tasks.spawn(link(Arc::clone(&proxy), number, Arc::clone(&flood)));
    }
    let client = Client::modern(proxy.http);
    let (mut answered, mut peak) = (0, 0);
    for n in 0..CALLS {
        let text = format!("call {n}");
        let answer = client.call("echo", json!({ "text": text })).await;
        answered += usize::from(answer.response()["result"]["content"][0]["text"] == text.as_str());
        peak = peak.max(proxy.resident());
    }
    let listed = client.tool_names().await;
    flood.stopped.store(true, Ordering::Relaxed);
    tasks.shutdown().await;
    assert!(answered * 100 >= CALLS * 99, "{answered} of {CALLS} calls were answered");
    assert!(listed.contains(&"echo".into()), "the witness's tools are listed");
    let grown = peak.saturating_sub(before);
    assert!(grown < CEILING, "the proxy grew by {grown} bytes");
    let metrics = Scrape::of(proxy.http).await;
    assert!(metrics.sum("mcp_relay_catalog_waits_total", &[]) > 0.0, "changes had to wait");
    let sent = flood.sent.load(Ordering::Relaxed);
    assert!(sent > 100, "the flood was one: {sent} rounds");
}
