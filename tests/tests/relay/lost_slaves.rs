//! Slaves that are paused or gone: new calls avoid them before their links are given up, and calls that may run again leave them long
//! before the end of `LINK_GRACE`.

use std::net::SocketAddr;
use std::time::Duration;

use harness::client::{Client, McpRequest};
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, dial, text_result};
use harness::relay::{CODE, Setup};
use harness::wait;
use nix::sys::signal::Signal;
use protocol::link::frame::FrameKind;
use serde_json::{Value, json};

/// How long a call is waited for before the next one is sent. Longer than a call takes, and much shorter than a ping interval.
const PATIENCE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn new_calls_avoid_a_paused_slave_before_its_link_is_given_up() {
    // The ping interval is long: without a look at what is unanswered the paused slave would get calls for 3 to 6 s.
    let setup = Setup::proxy().env("LINK_PING_INTERVAL_MS", "3000").env("LINK_PING_TIMEOUT_MS", "60000");
    let proxy = setup.start_proxy().await;
    let slave = |name| Setup::slave(name, proxy.link).env("LINK_PING_TIMEOUT_MS", "60000");
    let (paused, other) = (slave("paused"), slave("other"));
    let (paused, _other) = tokio::join!(paused.start_slave(), other.start_slave());
    proxy.accepted(2).await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    wait::until("both slaves to be ready", async || {
        (Scrape::of(proxy.http).await.sum("mcp_relay_slave_state", &["state=\"ready\""]) > 1.5).then_some(())
    })
    .await;
    paused.signal(Signal::SIGSTOP);
    let (mut hanging, mut answered) = (Vec::new(), 0);
    for n in 0..40 {
        let mut call = client.start(McpRequest::tool(n, "echo", json!({ "text": n.to_string() }))).await;
        let mut task = tokio::spawn(async move { call.finish().await.text().to_owned() });
        if let Ok(text) = tokio::time::timeout(PATIENCE, &mut task).await {
            assert_eq!(text.unwrap(), n.to_string());
            answered += 1;
        } else {
            hanging.push((n, task));
        }
    }
    assert!(answered >= 35, "{answered} of 40 calls were answered beside a paused slave");
    paused.signal(Signal::SIGCONT);
    for (n, task) in hanging {
        assert_eq!(task.await.unwrap(), n.to_string(), "its link was kept");
    }
    let served = async || {
        Scrape::of(proxy.http)
            .await
            .sum("mcp_relay_link_calls_total", &["slave=\"paused\"", "outcome=\"ok\""])
    };
    let before = served().await;
    wait::until("calls on the slave that goes on", async || {
        client.call("echo", json!({ "text": "x" })).await.text();
        (served().await > before + 0.5).then_some(())
    })
    .await;
}

/// Three tools: one read-only, one idempotent but destructive, one without annotations.
async fn slave(proxy: SocketAddr, name: &str) -> RawSlave {
    let mut slave = dial(proxy).await;
    slave.authenticate(CODE, name).await;
    offer(&mut slave).await;
    slave
}

async fn offer(slave: &mut RawSlave) {
    let tool = |name: &str, annotations: Value| json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": annotations });
    let tools = [
        tool("read", json!({ "readOnlyHint": true })),
        tool("burn", json!({ "idempotentHint": true, "destructiveHint": true })),
        tool("quiet", json!({})),
    ];
    slave.catalog(&json!({ "tools": tools })).await;
}

/// A proxy whose `LINK_GRACE` is longer than any time limit of a test.
fn patient(retry: &str) -> Setup {
    Setup::proxy().env("RETRY_IDEMPOTENT", retry).env("LINK_GRACE", "600")
}

#[tokio::test]
async fn a_call_that_may_run_again_leaves_a_lost_slave_and_others_wait() {
    for (retry, tool, leaves) in
        [("1", "read", true), ("1", "burn", false), ("1", "quiet", false), ("0", "read", false)]
    {
        let proxy = patient(retry).start_proxy().await;
        let mut first = slave(proxy.link, "first").await;
        proxy.offers(tool).await;
        let client = Client::modern(proxy.http);
        let mut pending = client.start(McpRequest::tool(1, tool, json!({}))).await;
        let opened = first.receive_open().await;
        first.accept(&opened).await;
        // Where the first process lives after all, it comes back later.
        let mut back = dial(proxy.link).await;
        back.resume(&first);
        first.disconnect();
        let mut second = slave(proxy.link, "second").await;
        if leaves {
            let again = second.receive_open().await;
            second.end(again.call, 0, &text_result("again")).await;
            assert_eq!(pending.finish().await.text(), "again");
            back.authenticate(CODE, "first").await;
            assert_eq!(back.frame(FrameKind::Cancel).await.call, opened.call);
        } else {
            let other = tokio::time::timeout(Duration::from_millis(2500), second.receive_small_open());
            assert!(other.await.is_err(), "{tool} with RETRY_IDEMPOTENT={retry} is not run again");
            back.authenticate(CODE, "first").await;
            back.frame(FrameKind::Attach).await;
            back.accept(&opened).await;
            back.end(opened.call, 0, &text_result("kept")).await;
            assert_eq!(pending.finish().await.text(), "kept");
        }
    }
}

#[tokio::test]
async fn a_call_that_may_run_again_leaves_a_silent_slave_as_soon_as_its_link_is_given_up() {
    let proxy = patient("1").quick_pings().start_proxy().await;
    let mut first = slave(proxy.link, "first").await;
    proxy.offers("read").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "read", json!({}))).await;
    // It took the call, and says nothing more: it does not even read.
    let opened = first.receive_open().await;
    let mut second = slave(proxy.link, "second").await;
    let again = second.receive_open().await;
    assert_ne!(again.call, opened.call);
    second.end(again.call, 0, &text_result("again")).await;
    assert_eq!(pending.finish().await.text(), "again");
}

#[tokio::test]
async fn slaves_are_told_how_long_calls_wait_for_them() {
    for (set, told) in [(None, 12_000), (Some("7.5"), 7_500)] {
        let setup = Setup::proxy();
        let proxy = set.map_or(setup.clone(), |grace| setup.env("LINK_GRACE", grace)).start_proxy().await;
        let hello = dial(proxy.link).await.authenticate(CODE, "one").await;
        assert_eq!(hello.grace_ms, told);
    }
}
