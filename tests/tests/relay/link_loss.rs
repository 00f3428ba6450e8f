//! Links and processes that stay away: kept results, `LINK_GRACE`, calls that move, and unknown outcomes.

use std::time::{Duration, Instant};

use harness::client::{Client, McpRequest};
use harness::fault::{Fault, FaultProxy, Side, Towards, Trap};
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;

/// One slave behind a fault proxy, with short ping intervals and a `LINK_GRACE` in seconds.
async fn behind_faults(grace: &str) -> (Proxy, FaultProxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().quick_pings().env("LINK_GRACE", grace).start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let setup = Setup::slave("one", fault.address).env("RECONNECT_MAX", "0.2").quick_pings();
    let slave = fixture.serve(setup).start_slave().await;
    proxy.offers("run").await;
    (proxy, fault, slave, fixture)
}

#[tokio::test]
async fn what_happens_while_the_link_is_down_is_delivered_when_it_is_back() {
    let (proxy, fault, _slave, fixture) = behind_faults("30").await;
    for (era, client) in
        [("modern", Client::modern(proxy.http)), ("legacy", Client::legacy(proxy.http).await)]
    {
        fixture.open_gate(era, 1);
        let mut pending = client.start(McpRequest::tool(1, "run", run_args(era, 4)).progress(1)).await;
        assert_eq!(pending.next().await.unwrap()["params"]["progress"], 1);
        let before = proxy.log.len();
        fault.take_down();
        proxy.log.wait_for_after("disconnected", before).await;
        fixture.open_gate(era, 9);
        fixture.wait_for(era, "end").await;
        fault.refuse(false);
        let answer = pending.finish().await;
        assert_eq!(answer.progress(), [2.0, 3.0, 4.0], "{era}");
        assert_eq!(answer.text(), format!("done {era}"));
        assert_eq!(fixture.log(era), ["start", "end"]);
        proxy.offers("run").await;
    }
}

#[tokio::test]
async fn after_the_grace_the_outcome_is_unknown_and_the_backend_is_told_to_stop() {
    let (proxy, fault, _slave, fixture) = behind_faults("1").await;
    fixture.open_gate("lost", 1);
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("lost", 2)).progress(1)).await;
    pending.next().await.unwrap();
    fault.take_down();
    let since = Instant::now();
    let answer = pending.finish().await;
    assert_eq!((answer.code(), answer.kind()), (-31001, "outcome_unknown"));
    assert!(since.elapsed() >= Duration::from_millis(900), "the grace was waited for: {:?}", since.elapsed());
    fixture.wait_for("lost", "cancelled").await;
    fault.refuse(false);
    proxy.offers("run").await;
    assert_eq!(client.call("run", run_args("next", 0)).await.text(), "done next");
}

#[tokio::test]
async fn without_a_slave_a_call_fails_at_once_and_says_why() {
    let proxy = Setup::proxy().start_proxy().await;
    // The specification of 2026-07-28 asks for codes outside of -32000 to -32019.
    for (client, path, code) in
        [(Client::modern(proxy.http), "modern", -31000), (Client::legacy(proxy.http).await, "legacy", -32000)]
    {
        let answer = client.call("echo", json!({ "text": path })).await;
        assert_eq!((answer.status, answer.code(), answer.kind()), (200, code, "no_slave"));
        assert_eq!(answer.error()["message"], "No slave server connected to proxy");
        assert!(client.tools().await.is_empty(), "lists are answered without slaves");
    }
}

#[tokio::test]
async fn calls_never_written_to_a_stalled_link_move_to_another_slave() {
    let fixture = Fixture::default();
    // Ping time-outs must not close the stalled link before its buffers are full.
    let patient = |setup: Setup| setup.env("LINK_PING_TIMEOUT_MS", "60000");
    let proxy = patient(Setup::proxy()).env("LINK_GRACE", "5").start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let slave = fixture.serve(patient(Setup::slave("one", fault.address))).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    fault.strike(Fault::Stall);
    // These fill all socket buffers; later calls cannot have been written.
    let bulk = "z".repeat(400_000);
    let mut filling = Vec::new();
    for n in 0..120 {
        let arguments = json!({ "key": format!("bulk-{n}"), "steps": 0, "bulk": bulk });
        filling.push(client.start(McpRequest::tool(n, "run", arguments)).await);
    }
    let keys: Vec<String> = (0..5).map(|n| format!("small-{n}")).collect();
    let mut small = Vec::new();
    for key in &keys {
        small.push(client.start(McpRequest::tool(1, "run", run_args(key, 0))).await);
    }
    let other = Fixture::default();
    let _other = other.serve(Setup::slave("two", proxy.link)).start_slave().await;
    proxy.accepted(2).await;
    // The first slave stays away; calls that were never written to its link need not wait for it.
    fault.take_down();
    drop(slave);
    let mut moved = 0;
    for (key, pending) in keys.iter().zip(&mut small) {
        let answer = pending.finish().await;
        let runs = fixture.log(key).len() / 2 + other.log(key).len() / 2;
        if answer.response().get("result").is_some() {
            assert_eq!((answer.text(), runs), (format!("done {key}").as_str(), 1));
            moved += 1;
        } else {
            assert_eq!((answer.kind(), runs), ("outcome_unknown", 0));
        }
    }
    assert!(moved > 0, "calls behind a full socket move to the other slave");
    for pending in &mut filling {
        let answer = pending.finish().await;
        assert!(
            answer.response().get("result").is_some() || answer.kind() == "outcome_unknown",
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_call_that_never_arrived_and_finds_no_slave_within_the_grace_says_so() {
    let (proxy, fault, slave, fixture) = behind_faults("1").await;
    let kind = harness::frames::FrameKind::Open;
    fault.arm(Trap { towards: Towards::Slave, kind, skip: 1, side: Side::Before, fault: Fault::Reset });
    // More than the first window of a call over a long way, which the link of a loaded machine looks like.
    let arguments = json!({ "key": "never", "steps": 0, "bulk": "z".repeat(3_000_000) });
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "run", arguments)).await;
    fault.wait_for_strikes(1).await;
    fault.refuse(true);
    drop(slave);
    let answer = pending.finish().await;
    assert_eq!((answer.code(), answer.kind()), (-31000, "no_slave"));
    assert!(fixture.log("never").is_empty());
}

#[tokio::test]
async fn a_paused_slave_is_noticed_with_the_default_settings() {
    let proxy = Setup::proxy().env("READY_MIN_SLAVES", "1").start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    assert_eq!(http::get(proxy.http, "/readyz").await.0, 200);
    slave.signal(Signal::SIGSTOP);
    // The proxy answers lists itself: a list that waited for the slave would lack its tools.
    let list = Client::modern(proxy.http);
    let names = wait::within("tools/list beside a paused slave", wait::TIMEOUT, list.tool_names()).await;
    assert!(names.contains(&"echo".into()));
    wait::until("the proxy to be unready", async || {
        (http::get(proxy.http, "/readyz").await.0 == 503).then_some(())
    })
    .await;
    slave.signal(Signal::SIGCONT);
    wait::until("the proxy to be ready", async || {
        (http::get(proxy.http, "/readyz").await.0 == 200).then_some(())
    })
    .await;
    proxy.offers("echo").await;
    assert_eq!(Client::modern(proxy.http).call("echo", json!({ "text": "back" })).await.text(), "back");
}

#[tokio::test]
async fn a_paused_proxy_is_noticed_by_its_slave_with_the_default_settings() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    proxy.signal(Signal::SIGSTOP);
    slave.log.wait_for("[SLAVE] Connection to proxy closed, attempting to reconnect in ").await;
    proxy.signal(Signal::SIGCONT);
    proxy.accepted(2).await;
    proxy.offers("echo").await;
}

#[tokio::test]
async fn a_call_survives_a_pause_of_its_slave() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().quick_pings().start_proxy().await;
    let slave = fixture.serve(Setup::slave("one", proxy.link).quick_pings()).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("paused", 1);
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("paused", 2)).progress(1)).await;
    pending.next().await.unwrap();
    let before = proxy.log.len();
    slave.signal(Signal::SIGSTOP);
    proxy.log.wait_for_after("disconnected", before).await;
    fixture.open_gate("paused", 9);
    slave.signal(Signal::SIGCONT);
    let answer = pending.finish().await;
    assert_eq!((answer.progress(), answer.text()), (vec![2.0], "done paused"));
    assert_eq!(fixture.log("paused"), ["start", "end"]);
}

#[tokio::test]
async fn a_killed_slave_fails_its_own_calls_and_the_others_go_on() {
    let (killed, kept) = (Fixture::default(), Fixture::default());
    let proxy = Setup::proxy().env("LINK_GRACE", "1").start_proxy().await;
    let slave = killed.serve(Setup::slave("killed", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    let client = Client::modern(proxy.http);
    killed.open_gate("dies", 1);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("dies", 2)).progress(1)).await;
    pending.next().await.unwrap();
    let _other = kept.serve(Setup::slave("kept", proxy.link)).start_slave().await;
    proxy.accepted(2).await;
    slave.signal(Signal::SIGKILL);
    let answer = pending.finish().await;
    assert_eq!((answer.code(), answer.kind()), (-31001, "outcome_unknown"));
    assert!(kept.log("dies").is_empty(), "what may have run is not run again");
    let in_flight = harness::metrics::Scrape::of(proxy.http).await.sum("mcp_relay_calls_in_flight", &[]);
    assert!(in_flight < 0.5, "{in_flight} calls leaked with the slave");
    proxy.offers("run").await;
    assert_eq!(client.call("run", run_args("after", 0)).await.text(), "done after");
    assert_eq!(kept.log("after"), ["start", "end"]);
}

#[tokio::test]
async fn a_restarted_slave_serves_at_once_and_does_not_run_the_old_one_s_calls() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("LINK_GRACE", "3").start_proxy().await;
    let slave = fixture.serve(Setup::slave("same", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("old", 1);
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("old", 2)).progress(1)).await;
    pending.next().await.unwrap();
    slave.signal(Signal::SIGKILL);
    let _new = fixture.serve(Setup::slave("same", proxy.link)).start_slave().await;
    proxy.accepted(2).await;
    proxy.offers("run").await;
    assert_eq!(client.call("run", run_args("new", 0)).await.text(), "done new");
    assert_eq!(pending.finish().await.kind(), "outcome_unknown");
    assert_eq!(fixture.log("old"), ["start"]);
}

#[tokio::test]
async fn a_killed_proxy_s_slaves_come_to_its_successor() {
    let fixture = Fixture::default();
    let old = Setup::proxy().start_proxy().await;
    let fault = FaultProxy::start(old.link);
    let slave = fixture.serve(Setup::slave("one", fault.address)).start_slave().await;
    old.offers("run").await;
    fixture.open_gate("orphan", 1);
    let client = Client::modern(old.http);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("orphan", 1)).progress(1)).await;
    pending.next().await.unwrap();
    let new = Setup::proxy().start_proxy().await;
    fault.retarget(new.link);
    old.signal(Signal::SIGKILL);
    slave.log.wait_for("[SLAVE] Connection to proxy closed, attempting to reconnect in ").await;
    new.offers("run").await;
    let answer = Client::modern(new.http).call("run", run_args("fresh", 0)).await;
    assert_eq!(answer.text(), "done fresh");
}

#[tokio::test]
async fn a_slave_reaches_a_proxy_that_starts_after_it() {
    let late = Setup::proxy().start_proxy().await;
    let fault = FaultProxy::start(late.link);
    fault.refuse(true);
    let slave = Setup::slave("early", fault.address).start_slave().await;
    slave.log.wait_for("[SLAVE] Connecting to proxy server at ws://").await;
    assert_eq!(
        Client::modern(slave.http).call("echo", json!({ "text": "own port" })).await.text(),
        "own port"
    );
    fault.refuse(false);
    late.offers("echo").await;
}
