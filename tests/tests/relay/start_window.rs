//! The first seconds of a proxy, in which slaves find it: it is not ready without one, and calls wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::balancer::Balancer;
use harness::client::{Client, McpRequest};
use harness::http;
use harness::relay::{Proxy, Setup, sleep_args};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;

/// A window that no test sees the end of.
const LONG: &str = "3600";

async fn ready(proxy: &Proxy) -> (u16, String) {
    http::get(proxy.http, "/readyz").await
}

async fn becomes_ready(proxy: &Proxy) {
    wait::until("the proxy to be ready", async || (ready(proxy).await.0 == 200).then_some(())).await;
}

#[tokio::test]
async fn a_proxy_is_ready_with_its_first_slave_or_when_the_window_is_over() {
    let proxy = Setup::proxy().env("START_WINDOW", LONG).start_proxy().await;
    let (status, body) = ready(&proxy).await;
    assert!(status == 503 && body.contains("START_WINDOW"), "{status} {body}");
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    becomes_ready(&proxy).await;
    let proxy = Setup::proxy().env("START_WINDOW", "0.5").start_proxy().await;
    becomes_ready(&proxy).await;
    for (name, value) in [("START_WINDOW", "0"), ("SLAVE_CODES", "")] {
        let proxy = Setup::proxy().env("START_WINDOW", LONG).env(name, value).start_proxy().await;
        assert_eq!(ready(&proxy).await.0, 200, "{name}={value}");
    }
}

#[tokio::test]
async fn calls_wait_for_the_slaves_that_they_need() {
    let routes = tempfile::NamedTempFile::new().unwrap();
    let rule = "rules:\n  - name: far\n    match: {tool: echo, argument: {pointer: /text, equals: far}}\n    to: {site: far}\n";
    std::fs::write(routes.path(), rule).unwrap();
    let proxy = Setup::proxy().env("START_WINDOW", LONG).env("ROUTES", routes.path().to_str().unwrap());
    let proxy = proxy.start_proxy().await;
    let (modern, legacy) = (Client::modern(proxy.http), Client::legacy(proxy.http).await);
    let mut waiting = Vec::new();
    for client in [&modern, &legacy] {
        waiting.push(client.start(McpRequest::tool(7, "echo", json!({ "text": "near" }))).await);
    }
    let mut far = modern.start(McpRequest::tool(8, "echo", json!({ "text": "far" }))).await;
    let _near = Setup::slave("near", proxy.link).start_slave().await;
    for pending in &mut waiting {
        assert_eq!(pending.finish().await.text(), "near");
    }
    // Its rule wants a slave that is not there yet.
    let _far = Setup::slave("far", proxy.link).env("SLAVE_LABELS", "site=far").start_slave().await;
    assert_eq!(far.finish().await.text(), "far");
}

#[tokio::test]
async fn waiting_calls_fail_when_the_window_is_over_and_end_when_they_are_cancelled() {
    let proxy = Setup::proxy().env("START_WINDOW", "1").start_proxy().await;
    let answer = Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await;
    assert_eq!((answer.code(), answer.kind()), (-31000, "no_slave"));
    let proxy = Setup::proxy().env("START_WINDOW", LONG).env("REQUEST_TIMEOUT", "1").start_proxy().await;
    let answer = Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await;
    assert_eq!(answer.kind(), "no_slave", "not longer than a call may be silent");
    let proxy = Setup::proxy().env("START_WINDOW", LONG).start_proxy().await;
    let client = Client::legacy(proxy.http).await;
    let mut pending = client.start(McpRequest::tool(7, "echo", json!({ "text": "x" }))).await;
    let ended = tokio::spawn(async move { pending.finish().await });
    wait::until("the cancelled call to end", async || {
        client.cancel(7).await;
        ended.is_finished().then_some(())
    })
    .await;
}

/// Where clients and slaves find the only proxy, and what became of the clients' calls.
#[derive(Default)]
struct Load {
    done: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Calls without a pause. What was refused before it began (no connection, 503) is sent again, as clients and load balancers do.
    async fn run(self: Arc<Self>, front: SocketAddr) {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while !self.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            let ask = McpRequest::tool(1, "sleep", sleep_args(0.05, 1));
            let Some(mut pending) = Client::modern(front).try_start(ask).await else { continue };
            let Ok(()) = pending.exchange.try_head().await else { continue };
            if pending.exchange.status.as_u16() != 503 {
                pending.finish().await.result();
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn some(&self) {
        let least = self.done.load(Ordering::Relaxed) + 40;
        wait::until("calls to be done", async || (self.done.load(Ordering::Relaxed) >= least).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_proxy_that_starts_anew_fails_no_call() {
    let setup = Setup::proxy().env("SESSION_KEY", "the-key-of-before-and-after-the-restart");
    let setup = setup.env("START_WINDOW", LONG);
    let mut proxy = setup.start_proxy().await;
    let links = Balancer::start(vec![proxy.link]).await;
    let clients = Balancer::start(vec![proxy.http]).await;
    let _slave = Setup::slave("one", links.address).start_slave().await;
    let load = Arc::new(Load::default());
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        callers.spawn(Arc::clone(&load).run(clients.address));
    }
    for _ in 0..3 {
        load.some().await;
        proxy.signal(Signal::SIGTERM);
        assert_eq!(proxy.exit(Duration::from_mins(1)).await.code(), Some(0));
        proxy = setup.start_proxy().await;
        // Clients come before the slave does.
        clients.retarget(vec![proxy.http]);
        assert_eq!(ready(&proxy).await.0, 503);
        wait::until("calls to wait", async || {
            (harness::metrics::Scrape::of(proxy.http).await.sum("mcp_relay_client_connections", &[]) > 1.0)
                .then_some(())
        })
        .await;
        links.retarget(vec![proxy.link]);
    }
    load.some().await;
    load.stop.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.expect("no caller sees a failed call");
    }
}
