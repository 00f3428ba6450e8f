//! A client that calls on and on beside a flood, and the memory of the proxy meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use harness::client::{Client, McpRequest};
use harness::wait;
use serde_json::json;
use tokio::task::JoinHandle;

/// Calls after which the share of successful ones says something.
const ENOUGH: usize = 200;

#[derive(Default)]
struct Counts {
    all: AtomicUsize,
    ok: AtomicUsize,
    over: AtomicBool,
    /// Most resident memory that was seen, in bytes.
    memory: AtomicU64,
}

pub(super) struct Witness {
    counts: Arc<Counts>,
    calling: JoinHandle<()>,
}

impl Witness {
    /// Begins to call `echo` at the proxy of process `pid`, one call after the other.
    pub(super) fn start(client: Client, pid: u32) -> Self {
        let counts = Arc::new(Counts::default());
        let own = Arc::clone(&counts);
        let calling = tokio::spawn(async move {
            while !own.over.load(Ordering::Relaxed) {
                let ok = usize::from(succeeds(&client).await);
                own.ok.fetch_add(ok, Ordering::Relaxed);
                own.all.fetch_add(1, Ordering::Relaxed);
                own.memory.fetch_max(resident(pid), Ordering::Relaxed);
            }
        });
        Self { counts, calling }
    }

    /// Ends the calls when they are enough. Panics if less than 99 % succeeded. Returns the most memory, in bytes, that
    /// the proxy had meanwhile.
    pub(super) async fn finish(self) -> u64 {
        let all = || self.counts.all.load(Ordering::Relaxed);
        wait::until("enough calls of the witness", async || (all() >= ENOUGH).then_some(())).await;
        self.counts.over.store(true, Ordering::Relaxed);
        self.calling.await.unwrap();
        let (ok, all) = (self.counts.ok.load(Ordering::Relaxed), all());
        assert!(ok * 100 >= all * 99, "{ok} of {all} calls succeeded");
        self.counts.memory.load(Ordering::Relaxed)
    }
}

async fn succeeds(client: &Client) -> bool {
    let request = McpRequest::tool(1, "echo", json!({ "text": "still here" }));
    let Some(mut call) = client.try_start(request).await else { return false };
    let mut body = Vec::new();
    loop {
        match call.exchange.try_chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    call.exchange.status.as_u16() == 200 && String::from_utf8_lossy(&body).contains("still here")
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// The sum of a metric of the proxy at this address.
pub(super) async fn sum(address: SocketAddr, name: &str, labels: &[&str]) -> f64 {
    harness::metrics::Scrape::of(address).await.sum(name, labels)
}
