//! How processes of sessions end, and what remains: nothing.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::relay::Setup;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Scene, entry, gone, is_running, pid, scene};

/// Starts a call that waits at its gate.
async fn held(scene: &Scene, client: &Client, key: &str) -> harness::client::Pending {
    scene.fixture.open_gate(key, 0);
    let call = client.start(McpRequest::tool(9, "run", run_args(key, 0)).progress(1)).await;
    scene.fixture.wait_for(key, "start").await;
    call
}

#[tokio::test]
async fn a_process_ends_with_its_session_and_no_other_does() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let clients = [Client::legacy(scene.proxy.http).await, Client::legacy(scene.proxy.http).await];
    let (one, two) = (pid(&clients[0]).await, pid(&clients[1]).await);
    assert_eq!(clients[0].end_session().await, 200);
    gone(one).await;
    scene.wait_ended("session_ended").await;
    assert!(is_running(two));
    assert_eq!(pid(&clients[1]).await, two);
    let own_port = Client::legacy(scene.slave.http).await;
    let three = pid(&own_port).await;
    own_port.end_session().await;
    gone(three).await;
    // The slave hears of the end a little later than the process table.
    wait::until("the count of processes", async || {
        let (_, status) = harness::http::get(scene.slave.http, "/api/v1/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["backends"]["list"][0]["children"] == json!({ "running": 1, "most": 16 })).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_idle_process_ends_and_the_next_call_starts_another() {
    let scene = scene(&[], json!({ "sessions": "per-session", "idle": "300ms" })).await.ready().await;
    let client = Client::legacy(scene.proxy.http).await;
    let first = pid(&client).await;
    gone(first).await;
    scene.wait_ended("idle").await;
    let mut call = held(&scene, &client, "long").await;
    let second = i64::from(scene.fixture.pids()[2]);
    wait::never("a process that runs a call to end", std::time::Duration::from_millis(900), async || {
        (!is_running(second)).then_some(())
    })
    .await;
    scene.fixture.open_gate("long", 1);
    assert_eq!(call.finish().await.text(), "done long");
    gone(second).await;
}

#[tokio::test]
async fn a_full_pool_ends_what_is_idle_for_longest_or_refuses() {
    let scene = scene(&[], json!({ "sessions": "per-session", "maxChildren": 2 })).await.ready().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::legacy(scene.proxy.http).await);
    }
    let one = pid(&clients[0]).await;
    let mut one_held = held(&scene, &clients[0], "one").await;
    let mut two_held = held(&scene, &clients[1], "two").await;
    let refused = clients[2].call("introduced", json!({})).await;
    assert_eq!(refused.kind(), "busy", "{}", refused.error());
    assert!(refused.error().to_string().contains("maxChildren"), "{}", refused.error());
    scene.fixture.open_gate("one", 1);
    assert_eq!(one_held.finish().await.text(), "done one");
    let three = pid(&clients[2]).await;
    gone(one).await;
    assert!((scene.ended("gave_way").await - 1.0).abs() < 0.5);
    let children = Scrape::of(scene.slave.http).await.sum("mcp_relay_slave_backend_children", &[]);
    assert!((children - 2.0).abs() < 0.5);
    scene.fixture.open_gate("two", 1);
    assert_eq!(two_held.finish().await.text(), "done two");
    assert!(is_running(three));
}

#[tokio::test]
async fn a_process_that_exits_fails_its_own_calls_and_is_not_started_again() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let clients = [Client::legacy(scene.proxy.http).await, Client::legacy(scene.proxy.http).await];
    let (one, two) = (pid(&clients[0]).await, pid(&clients[1]).await);
    let mut innocent = held(&scene, &clients[1], "innocent").await;
    let answer = clients[0].call("die", json!({})).await;
    assert_eq!(answer.kind(), "backend_failed", "{}", answer.error());
    assert!(answer.error().to_string().contains("code 7"), "{}", answer.error());
    gone(one).await;
    scene.wait_ended("exited").await;
    assert_eq!(scene.fixture.pids().len(), 3, "the first one and one for each session");
    scene.fixture.open_gate("innocent", 1);
    assert_eq!(innocent.finish().await.text(), "done innocent");
    assert_ne!(pid(&clients[0]).await, one);
    assert_eq!(pid(&clients[1]).await, two);
}

#[tokio::test]
async fn all_processes_end_with_their_entry_once_its_calls_have() {
    let scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
    let clients = [Client::legacy(scene.proxy.http).await, Client::legacy(scene.proxy.http).await];
    let idle = pid(&clients[0]).await;
    let mut call = held(&scene, &clients[1], "held").await;
    // Changed: other calls reach new processes at once.
    let changed = json!({ "sessions": "per-session", "maxChildren": 5 });
    scene.fixture.write_backends(&json!({ "own": entry(&scene.fixture, &[], &changed) }));
    let fresh = wait::until("a process of the changed entry", async || {
        let now = pid(&clients[0]).await;
        (now != idle).then_some(now)
    })
    .await;
    scene.fixture.open_gate("held", 1);
    assert_eq!(call.finish().await.text(), "done held");
    gone(idle).await;
    assert!(is_running(fresh));
    // Removed.
    scene.fixture.write_backends(&json!({ "other": scene.fixture.entry(&[("FIXTURE_PREFIX", "other_")]) }));
    gone(fresh).await;
    scene.proxy.offers("other_run").await;
    let running: Vec<i32> =
        scene.fixture.pids().into_iter().filter(|pid| is_running(i64::from(*pid))).collect();
    assert_eq!(running.len(), 1, "the one of the other entry: {running:?}");
    let children = Scrape::of(scene.slave.http).await.sum("mcp_relay_slave_backend_children", &[]);
    assert!((children - 0.0).abs() < 0.5);
}

#[tokio::test]
async fn no_process_outlives_its_slave() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut scene = scene(&[], json!({ "sessions": "per-session" })).await.ready().await;
        let clients = [Client::legacy(scene.proxy.http).await, Client::legacy(scene.proxy.http).await];
        let mut pids = vec![i64::from(scene.fixture.pids()[0])];
        for client in &clients {
            pids.push(pid(client).await);
        }
        scene.slave.signal(signal);
        scene.slave.exit(wait::TIMEOUT).await;
        for pid in pids {
            gone(pid).await;
        }
    }
}

#[tokio::test]
async fn a_process_that_cannot_start_fails_the_calls_that_wait_for_it() {
    let fixture = Fixture::default();
    let members = json!({ "sessions": "per-session" });
    let path = fixture.write_backends(&json!({ "own": entry(&fixture, &[], &members) }));
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("BACKEND_WAIT", "1").env("DEMO_TOOLS", "0");
    let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    let scene = Scene { proxy, slave, fixture }.ready().await;
    let client = Client::legacy(scene.proxy.http).await;
    // Held at its start, as one that is still being installed.
    scene.fixture.open_gate("process", 0);
    let late = client.call("introduced", json!({})).await;
    assert_eq!(late.kind(), "backend_failed");
    assert!(late.error().to_string().contains("BACKEND_WAIT"), "{}", late.error());
    let starting = i64::from(*scene.fixture.pids().last().unwrap());
    scene.fixture.open_gate("process", 1);
    wait::until("the same process to be ready", async || {
        let answer = client.call("introduced", json!({})).await;
        let found: Value =
            serde_json::from_str(answer.response()["result"]["content"][0]["text"].as_str()?).ok()?;
        assert_eq!(found["pid"], starting);
        Some(())
    })
    .await;
    assert_eq!(scene.fixture.pids().len(), 2);
}
