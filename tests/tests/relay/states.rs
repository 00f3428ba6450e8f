//! States of a slave in readiness, metrics and the log, and the detection of changes.

use std::net::SocketAddr;
use std::time::Duration;

use harness::client::Client;
use harness::fault::{Fault, FaultProxy};
use harness::http::get;
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, definition, dial};
use harness::relay::{CODE, Setup};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

async fn in_state(proxy: SocketAddr, slave: &str, state: &str) -> bool {
    Scrape::of(proxy).await.has_slave(slave, state)
}

async fn until_state(proxy: SocketAddr, slave: &str, state: &str) {
    let what = format!("slave {slave} to be {state}");
    wait::until(&what, async || in_state(proxy, slave, state).await.then_some(())).await;
}

/// Waits until the proxy has forgotten a slave: its link is down and no call waits for it.
async fn until_forgotten(proxy: SocketAddr, slave: &str) {
    let what = format!("slave {slave} to be forgotten");
    wait::until(&what, async || is_forgotten(proxy, slave).await.then_some(())).await;
}

async fn is_forgotten(proxy: SocketAddr, slave: &str) -> bool {
    let status: Value = serde_json::from_str(&get(proxy, "/api/v1/status").await.1).unwrap();
    status["slaves"]["list"].as_array().unwrap().iter().all(|known| known["name"] != slave)
}

#[tokio::test]
async fn a_slave_that_offers_nothing_yet_is_connecting_and_no_reason_to_be_ready() {
    let proxy = Setup::proxy().env("READY_MIN_SLAVES", "1").start_proxy().await;
    let mut slave = dial(proxy.link).await;
    slave.authenticate(CODE, "raw").await;
    until_state(proxy.http, "raw", "connecting").await;
    let (status, why) = get(proxy.http, "/readyz").await;
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("1 connecting") && !why.contains("raw"), "counts, no names: {why}");
    // Its tools may be on their way: a call waits for them.
    let client = Client::modern(proxy.http);
    let tools = json!({ "tools": [definition("t")] });
    let (answer, ()) = tokio::join!(client.call("absent", json!({})), slave.catalog(&tools));
    assert_eq!(answer.kind(), "unknown_tool");
    until_state(proxy.http, "raw", "ready").await;
    assert_eq!(get(proxy.http, "/readyz").await.0, 200);
    slave.catalog(&json!({ "tools": [] })).await;
    until_state(proxy.http, "raw", "connecting").await;
    assert_eq!(get(proxy.http, "/readyz").await.0, 503, "there is nothing to call");
    proxy.log.wait_for("Slave can take no calls: it offers no tools any more").await;
    drop(slave);
    until_forgotten(proxy.http, "raw").await;
}

#[tokio::test]
async fn a_slave_that_does_not_answer_pings_is_degraded_and_others_get_the_calls() {
    // The ping time-out is long: the state before it is tested.
    let proxy = Setup::proxy()
        .env("LINK_PING_INTERVAL_MS", "200")
        .env("LINK_PING_TIMEOUT_MS", "60000")
        .start_proxy()
        .await;
    let slow = Setup::slave("slow", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    until_state(proxy.http, "slow", "ready").await;
    slow.signal(Signal::SIGSTOP);
    until_state(proxy.http, "slow", "degraded").await;
    proxy.log.wait_for("Slave is degraded: it answers pings late").await;
    assert_eq!(get(proxy.http, "/readyz").await.0, 200);
    let _quick = Setup::slave("quick", proxy.link).start_slave().await;
    until_state(proxy.http, "quick", "ready").await;
    let client = Client::modern(proxy.http);
    wait::until("a call that the paused slave does not get", async || {
        let call = client.call("echo", json!({ "text": "x" }));
        tokio::time::timeout(Duration::from_secs(1), call).await.ok()
    })
    .await;
    for n in 0..20 {
        assert_eq!(client.call("echo", json!({ "text": n.to_string() })).await.text(), n.to_string());
    }
    let trip = Scrape::of(proxy.http).await.sum("mcp_relay_link_round_trip_seconds", &["slave=\"slow\""]);
    assert!(trip > 0.2, "an unanswered ping shows: {trip}");
    slow.signal(Signal::SIGCONT);
    until_state(proxy.http, "slow", "ready").await;
    proxy.log.wait_for("Slave is ready again, after ").await;
}

/// Reads what has come, pings included, which are answered by that.
async fn read_pending(slave: &mut RawSlave) {
    while tokio::time::timeout(Duration::from_millis(20), slave.receive()).await.is_ok() {}
}

#[tokio::test]
async fn answers_to_pings_that_are_later_than_link_late_ms_make_a_slave_degraded() {
    let setup = |late: &str| {
        Setup::proxy()
            .env("LINK_LATE_MS", late)
            .env("LINK_PING_INTERVAL_MS", "200")
            .env("LINK_PING_TIMEOUT_MS", "60000")
    };
    let (strict, lenient) = (setup("300"), setup("60000"));
    let (strict, lenient) = tokio::join!(strict.start_proxy(), lenient.start_proxy());
    let mut slaves = [
        RawSlave::link(strict.link, CODE, "raw", &["t"]).await,
        RawSlave::link(lenient.link, CODE, "raw", &["t"]).await,
    ];
    until_state(strict.http, "raw", "ready").await;
    until_state(lenient.http, "raw", "ready").await;
    let late = async {
        loop {
            wait::delay(Duration::from_secs(1)).await;
            for slave in &mut slaves {
                read_pending(slave).await;
            }
        }
    };
    tokio::select! {
        () = late => {}
        _ = strict.log.wait_for("Slave is degraded: it answers pings late") => {}
    }
    assert!(in_state(lenient.http, "raw", "ready").await, "the same answers are in time for a longer limit");
    assert_eq!(lenient.log.count("Slave is degraded"), 0);
    let prompt = async {
        loop {
            for slave in &mut slaves {
                read_pending(slave).await;
            }
        }
    };
    tokio::select! {
        () = prompt => {}
        () = async {
            strict.log.wait_for("Slave is ready again, after ").await;
            until_state(strict.http, "raw", "ready").await;
        } => {}
    }
}

/// Default settings: a ping interval of 1.5 s and a time-out of 4 s.
#[tokio::test]
async fn dropped_packets_are_noticed_on_both_sides_with_the_default_settings() {
    let proxy = Setup::proxy().env("READY_MIN_SLAVES", "1").start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let slave = Setup::slave("one", fault.address).start_slave().await;
    proxy.offers("echo").await;
    wait::until("the slave to be ready", async || (get(slave.http, "/readyz").await.0 == 200).then_some(()))
        .await;
    fault.refuse(true);
    fault.strike(Fault::BlackHole);
    let unready = async |address, who: &str| {
        let what = format!("the {who} to be unready");
        wait::until(&what, async || (get(address, "/readyz").await.0 == 503).then_some(())).await;
    };
    tokio::join!(unready(proxy.http, "proxy"), unready(slave.http, "slave"));
    wait::until("no call to wait for it", async || is_forgotten(proxy.http, "one").await.then_some(())).await;
    assert_eq!(Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await.kind(), "no_slave");
    let (_, why) = get(slave.http, "/readyz").await;
    assert!(why.contains("not linked to a proxy"), "{why}");
}

#[tokio::test]
async fn a_slave_without_anything_to_call_is_not_ready() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("empty", proxy.link).env("DEMO_TOOLS", "0").start_slave().await;
    until_state(proxy.http, "empty", "connecting").await;
    wait::until("the slave to be unready for its lack of tools", async || {
        let (status, why) = get(slave.http, "/readyz").await;
        (status == 503 && why.contains("no tools are offered")).then_some(())
    })
    .await;
    let raw = RawSlave::link(proxy.link, CODE, "raw", &["t"]).await;
    until_state(proxy.http, "raw", "ready").await;
    raw.disconnect();
    until_forgotten(proxy.http, "raw").await;
}
