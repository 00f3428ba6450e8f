//! SIGTERM and SIGINT on either side: calls finish, no new ones begin, exit code 0 within the grace.

use std::time::Duration;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::relay::{Setup, pair};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;

const LIMIT: Duration = wait::TIMEOUT;

#[tokio::test]
async fn a_proxy_told_to_stop_finishes_its_calls_first() {
    let fixture = Fixture::default();
    let mut proxy = Setup::proxy().start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("last", 1);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("last", 3)).progress(1)).await;
    pending.next().await.unwrap();
    proxy.signal(Signal::SIGTERM);
    wait::until("the proxy to drain", async || is_draining(proxy.http).await.then_some(())).await;
    assert!(proxy.is_running(), "a call is still in flight");
    assert_eq!(http::try_status(proxy.http, "/readyz").await, Some(503), "unready, and says so");
    assert_eq!(http::try_status(proxy.http, "/healthz").await, Some(200), "but alive");
    let mut late = client.start(McpRequest::tool(2, "run", run_args("late", 0))).await;
    let refused = late.finish().await;
    assert_eq!((refused.status, refused.kind()), (503, "draining"));
    assert!(late.exchange.header("retry-after").parse::<u32>().is_ok(), "when to come again");
    assert!(fixture.log("late").is_empty());
    fixture.open_gate("last", 9);
    let answer = pending.finish().await;
    assert_eq!((answer.progress(), answer.text()), (vec![2.0, 3.0], "done last"));
    assert_eq!(proxy.exit(LIMIT).await.code(), Some(0));
}

/// Whether the server is unready or refuses connections.
async fn is_draining(address: std::net::SocketAddr) -> bool {
    http::try_status(address, "/readyz").await.is_none_or(|status| status == 503)
}

#[tokio::test]
async fn a_slave_told_to_stop_finishes_its_calls_and_gets_no_new_one() {
    let (leaving, staying) = (Fixture::default(), Fixture::default());
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = leaving.serve(Setup::slave("leaving", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    leaving.open_gate("last", 1);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("last", 2)).progress(1)).await;
    pending.next().await.unwrap();
    let _other = staying.serve(Setup::slave("staying", proxy.link)).start_slave().await;
    proxy.accepted(2).await;
    wait::until("the other slave's first call", async || {
        client.call("run", run_args("probe", 0)).await.result();
        (!staying.log("probe").is_empty()).then_some(())
    })
    .await;
    slave.signal(Signal::SIGTERM);
    wait::until("the slave to drain", async || is_draining(slave.http).await.then_some(())).await;
    let before = leaving.log("probe").len();
    for n in 0..10 {
        let answer = client.call("run", run_args("probe", 0)).await;
        assert_eq!(answer.text(), "done probe", "call {n}");
    }
    assert_eq!(leaving.log("probe").len(), before, "no new call on a draining slave");
    leaving.open_gate("last", 9);
    let answer = pending.finish().await;
    assert_eq!((answer.progress(), answer.text()), (vec![2.0], "done last"));
    assert_eq!(slave.exit(LIMIT).await.code(), Some(0));
    slave.log.wait_for("Stopped").await;
    assert_eq!(slave.log.count("No tool is offered"), 0, "its backends end with it, which is no fault");
}

#[tokio::test]
async fn idle_processes_stop_at_once_on_either_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // With a grace that is longer than the limit, an exit within the limit is one that did not wait for it.
        let mut proxy = Setup::proxy().env("SHUTDOWN_GRACE", "600").start_proxy().await;
        let mut slave = Setup::slave("one", proxy.link).env("SHUTDOWN_GRACE", "600").start_slave().await;
        proxy.offers("echo").await;
        slave.signal(signal);
        assert_eq!(slave.exit(LIMIT).await.code(), Some(0), "slave, {signal}");
        proxy.signal(signal);
        assert_eq!(proxy.exit(LIMIT).await.code(), Some(0), "proxy, {signal}");
    }
}

#[tokio::test]
async fn a_call_longer_than_the_grace_does_not_hold_the_process() {
    let fixture = Fixture::default();
    let mut proxy = Setup::proxy().env("SHUTDOWN_GRACE", "1").start_proxy().await;
    let mut slave =
        fixture.serve(Setup::slave("one", proxy.link).env("SHUTDOWN_GRACE", "1")).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("endless", 1);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("endless", 5)).progress(1)).await;
    pending.next().await.unwrap();
    slave.signal(Signal::SIGTERM);
    assert_eq!(slave.exit(LIMIT).await.code(), Some(0));
    drop(pending);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit(LIMIT).await.code(), Some(0));
}

#[tokio::test]
async fn a_proxy_going_down_with_an_endless_call_ends_within_its_grace() {
    let fixture = Fixture::default();
    let mut proxy = Setup::proxy().env("SHUTDOWN_GRACE", "1").start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("endless", 0);
    let client = Client::modern(proxy.http);
    let _pending = client.start(McpRequest::tool(1, "run", run_args("endless", 5))).await;
    fixture.wait_for("endless", "start").await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit(LIMIT).await.code(), Some(0));
}

#[tokio::test]
async fn backends_end_with_their_slave() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    let pids = fixture.pids();
    assert!(!pids.is_empty());
    slave.signal(Signal::SIGTERM);
    assert_eq!(slave.exit(LIMIT).await.code(), Some(0));
    for pid in pids {
        let there = || std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists();
        wait::until("the backend to be gone", async || (!there()).then_some(())).await;
    }
}

#[tokio::test]
async fn slaves_leave_a_stopping_proxy_and_find_the_next() {
    let (mut old, slave) = pair().await;
    let client = Client::modern(old.http);
    assert_eq!(client.call("echo", json!({ "text": "x" })).await.text(), "x");
    old.signal(Signal::SIGTERM);
    assert_eq!(old.exit(LIMIT).await.code(), Some(0));
    slave.log.wait_for("[SLAVE] Connection to proxy closed, attempting to reconnect in ").await;
    let port = old.link.port().to_string();
    let new = Setup::proxy().env("PROXY_WS_PORT", port).start_proxy().await;
    new.offers("echo").await;
}
