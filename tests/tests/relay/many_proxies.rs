//! Several proxies: slaves keep a link to each, and any proxy serves any request of any session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use harness::balancer::Balancer;
use harness::client::{Client, McpRequest};
use harness::http;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave, sleep_args};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "the-key-that-all-replicas-have-in-common";

/// Requests of the random-replica client.
const REQUESTS: usize = 10_000;

fn proxy() -> Setup {
    Setup::proxy().env("SESSION_KEY", KEY)
}

async fn three() -> [Proxy; 3] {
    [proxy().start_proxy().await, proxy().start_proxy().await, proxy().start_proxy().await]
}

fn urls(proxies: &[Proxy]) -> String {
    proxies.iter().map(|proxy| format!("ws://{}", proxy.link)).collect::<Vec<_>>().join(",")
}

/// Waits until `/readyz` of the slave reports `links` links.
async fn linked(slave: &Slave, links: usize) {
    wait::until(&format!("{links} links"), async || {
        let (_, body) = http::get(slave.http, "/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        (body["links"] == links).then_some(())
    })
    .await;
}

/// Three slaves that dial `url`, each linked to three proxies that list their tools.
async fn fleet(url: &str, proxies: &[Proxy]) -> Vec<Slave> {
    let start = |name: &'static str| async move {
        let setup = Setup::slave(name, proxies[0].link).env("PROXY_SERVER_URL", url);
        setup.env("PROXY_RESOLVE_INTERVAL", "1").start_slave().await
    };
    let slaves = join_all(["one", "two", "three"].map(start)).await;
    for slave in &slaves {
        linked(slave, proxies.len()).await;
    }
    for proxy in proxies {
        proxy.offers("echo").await;
    }
    slaves
}

/// The replica of the nth request, as a balancer without affinity would pick it.
fn replica(addresses: &[SocketAddr], n: usize) -> SocketAddr {
    addresses[(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % addresses.len()]
}

/// Makes the nth request, of either era; legacy ones in a session that another replica may have begun.
async fn ask(n: usize, addresses: &[SocketAddr], legacy: &Client) {
    let modern = Client::modern(replica(addresses, n));
    let client = if n.is_multiple_of(2) { modern } else { legacy.at(replica(addresses, n)) };
    match n % 100 {
        // Progress through one replica.
        8 | 9 => {
            let answer = client.request(McpRequest::tool(n, "sleep", sleep_args(0.02, 2)).progress(n)).await;
            assert_eq!(answer.progress(), [1.0, 2.0], "{:?}", answer.messages);
            answer.result();
        }
        // Begun at one replica, cancelled at another.
        51 => {
            let mut pending =
                client.start(McpRequest::tool(n, "sleep", sleep_args(600.0, 60_000)).progress(n)).await;
            pending.next().await.expect("progress");
            legacy.at(replica(addresses, n + 1)).cancel(n).await;
            let rest = pending.finish().await.messages;
            assert!(rest.iter().all(|message| message.get("method").is_some()), "no response: {rest:?}");
        }
        52 => {
            let mut pending =
                client.start(McpRequest::tool(n, "sleep", sleep_args(600.0, 60_000)).progress(n)).await;
            pending.next().await.expect("progress");
        }
        53 => {
            let mut other = Client::uninitialized(replica(addresses, n));
            other.initialize().await;
        }
        _ => assert_eq!(client.call("echo", json!({ "text": n.to_string() })).await.text(), n.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_random_replicas_go_well() {
    let proxies = three().await;
    let slaves = fleet(&urls(&proxies), &proxies).await;
    let addresses: Arc<[SocketAddr]> = proxies.iter().map(|proxy| proxy.http).collect();
    let legacy = Client::legacy(addresses[0]).await;
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..16).map(|_| {
        let (addresses, legacy, next) = (Arc::clone(&addresses), legacy.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= REQUESTS {
                    return;
                }
                ask(n, &addresses, &legacy).await;
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    for proxy in &proxies {
        let scrape = Scrape::of(proxy.http).await;
        assert!((scrape.sum("mcp_relay_peers", &[]) - 3.0).abs() < 0.1, "each knows all three");
        let calls = scrape.sum("mcp_relay_forwards_total", &["outcome=\"ok\""]);
        assert!(calls > f64::from(u32::try_from(REQUESTS / 6).unwrap()), "each had its share: {calls}");
    }
    drop(slaves);
}

#[tokio::test]
async fn behind_one_address_slaves_find_every_proxy() {
    let mut proxies = three().await;
    let balancer = Balancer::start(proxies.iter().map(|proxy| proxy.link).collect()).await;
    let slaves = fleet(&format!("ws://{}", balancer.address), &proxies).await;
    for slave in &slaves {
        let scrape = Scrape::of(slave.http).await;
        assert!((scrape.sum("mcp_relay_slave_links_wanted", &[]) - 3.0).abs() < 0.1);
        assert!(!slave.log.text().contains("attempting to reconnect"), "searching disturbs no link");
    }
    // One proxy is replaced by another: the slaves follow.
    let next = proxy().start_proxy().await;
    balancer.retarget(vec![proxies[1].link, proxies[2].link, next.link]);
    proxies[0].signal(Signal::SIGTERM);
    next.offers("echo").await;
    for slave in &slaves {
        linked(slave, 3).await;
    }
    assert_eq!(proxies[0].exit(wait::TIMEOUT).await.code(), Some(0));
    assert_eq!(Client::modern(next.http).call("echo", json!({ "text": "x" })).await.text(), "x");
}

#[tokio::test]
async fn a_session_that_ended_at_one_replica_has_ended_at_all() {
    let proxies = three().await;
    let slave =
        Setup::slave("one", proxies[0].link).env("PROXY_SERVER_URL", urls(&proxies)).start_slave().await;
    linked(&slave, 3).await;
    let client = Client::legacy(proxies[0].http).await;
    for proxy in &proxies {
        proxy.offers("echo").await;
        assert_eq!(client.at(proxy.http).call("echo", json!({ "text": "x" })).await.text(), "x");
    }
    assert_eq!(client.at(proxies[1].http).end_session().await, 200);
    for proxy in &proxies {
        wait::until("the session to have ended", async || {
            let answer = client.at(proxy.http).call("echo", json!({ "text": "x" })).await;
            (answer.status == 404).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn two_addresses_of_one_proxy_give_one_link() {
    let proxy = Setup::proxy().env("PROXY_WS_HOST", "0.0.0.0").start_proxy().await;
    let port = proxy.link.port();
    let both = format!("ws://127.0.0.1:{port},ws://127.0.0.2:{port}");
    let slave = Setup::slave("one", proxy.link).env("PROXY_SERVER_URL", both).start_slave().await;
    proxy.offers("echo").await;
    linked(&slave, 1).await;
    wait::until("the second address to be tried", async || {
        let scrape = Scrape::of(slave.http).await;
        (scrape.sum("mcp_relay_slave_dials_total", &["outcome=\"already_linked\""]) >= 1.0).then_some(())
    })
    .await;
    assert_eq!(proxy.log.count("Slave authenticated successfully"), 1);
    assert!(!slave.log.text().contains("attempting to reconnect"), "{}", slave.log.text());
}
