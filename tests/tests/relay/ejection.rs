//! Outlier detection: slaves that fail calls by their own fault are ejected, others take the calls, good slaves stay.

use harness::client::Client;
use harness::http::get;
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, Received, text_result};
use harness::relay::{CODE, Setup};
use harness::wait;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Kind of answer of a slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// A failure of its backend.
    Broken,
    /// An error result of the tool.
    ToolError,
}

/// A slave with answers chosen by the test, and the number of its calls.
fn serve(mut slave: RawSlave, name: &'static str) -> (watch::Sender<Mood>, watch::Receiver<usize>) {
    let (mood, moods) = watch::channel(Mood::Well);
    let (count, counts) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            let Some(opened) = slave.receive_small_open().await else { return };
            count.send_modify(|n| *n += 1);
            let now = *moods.borrow();
            match now {
                Mood::Well => slave.end(opened, 0, &text_result(name)).await,
                Mood::ToolError => {
                    error(&mut slave, opened, &json!({ "code": -32602, "message": "x" })).await;
                }
                Mood::Broken => {
                    let failure = Failure::BackendFailed {
                        backend: "b".into(),
                        reason: "died".into(),
                        retry_after: None,
                    };
                    error(
                        &mut slave,
                        opened,
                        &serde_json::from_str(&failure.error_object(Era::Legacy)).unwrap(),
                    )
                    .await;
                }
            }
        }
    });
    (mood, counts)
}

async fn error(slave: &mut RawSlave, call: CallId, object: &Value) {
    let frame = Frame::bare(FrameKind::End, call, 0);
    let payload = object.to_string().into_bytes().into();
    slave.send(Frame { payload, flags: Flags::ERROR, ..frame }).await;
}

#[tokio::test]
async fn a_slave_with_a_broken_backend_is_left_out_tested_and_taken_back() {
    let proxy = Setup::proxy().env("EJECT_AFTER", "3").env("EJECT_TIME", "3").start_proxy().await;
    let (bad, bad_calls) = serve(RawSlave::link(proxy.link, CODE, "bad", &["t", "other"]).await, "bad");
    let (_good, _) = serve(RawSlave::link(proxy.link, CODE, "good", &["t"]).await, "good");
    proxy.offers("t").await;
    proxy.offers("other").await;
    proxy.accepted(2).await;
    let client = Client::modern(proxy.http);
    bad.send_replace(Mood::Broken);
    // Without the ejection half of these calls would fail.
    let mut failed = 0;
    wait::until("the bad slave to be left out", async || {
        let answer = client.call("t", json!({})).await;
        failed += u32::from(answer.response().get("error").is_some());
        let scrape = Scrape::of(proxy.http).await;
        (scrape.sum("mcp_relay_ejected_members", &["tool=\"t\""]) > 0.5).then_some(())
    })
    .await;
    assert_eq!(failed, 3, "no more than EJECT_AFTER clients paid for it");
    proxy.log.wait_for("Slave gets no calls of this tool for 3.0 s: 3 failed in a row").await;
    let before = *bad_calls.borrow();
    for _ in 0..5 {
        assert_eq!(client.call("t", json!({})).await.text(), "good");
    }
    assert_eq!(*bad_calls.borrow(), before);
    let (status, body) = get(proxy.http, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    bad.send_replace(Mood::Well);
    assert_eq!(client.call("other", json!({})).await.text(), "bad", "its other tools are its own");
    wait::until("a test to take it back", async || {
        (client.call("t", json!({})).await.text() == "bad").then_some(())
    })
    .await;
    proxy.log.wait_for("Slave gets calls of this tool again").await;
}

#[tokio::test]
async fn the_last_slave_of_a_tool_is_never_left_out_and_tool_errors_are_no_fault() {
    let proxy = Setup::proxy().env("EJECT_AFTER", "2").env("EJECT_TIME", "600").start_proxy().await;
    let (mood, _) = serve(RawSlave::link(proxy.link, CODE, "only", &["t"]).await, "only");
    proxy.offers("t").await;
    let client = Client::modern(proxy.http);
    mood.send_replace(Mood::ToolError);
    for _ in 0..6 {
        assert_eq!(client.call("t", json!({})).await.code(), -32602);
    }
    assert!(Scrape::of(proxy.http).await.sum("mcp_relay_ejections_total", &[]) < 0.5);
    mood.send_replace(Mood::Broken);
    for _ in 0..6 {
        assert_eq!(client.call("t", json!({})).await.kind(), "backend_failed", "it still gets them");
    }
    assert!(Scrape::of(proxy.http).await.sum("mcp_relay_ejections_total", &["slave=\"only\""]) > 0.5);
    mood.send_replace(Mood::Well);
    assert_eq!(client.call("t", json!({})).await.text(), "only");
}

#[tokio::test]
async fn a_slave_that_breaks_the_protocol_again_and_again_is_degraded() {
    let proxy = Setup::proxy().env("EJECT_AFTER", "2").env("EJECT_TIME", "600").start_proxy().await;
    let mut before = None;
    for _ in 0..3 {
        let mut slave = harness::rawslave::dial(proxy.link).await;
        if let Some(before) = &before {
            slave.resume(before);
        }
        slave.authenticate(CODE, "rude").await;
        slave.catalog(&json!({ "tools": [harness::rawslave::definition("t")] })).await;
        slave.text("no frame".into()).await;
        while !matches!(slave.receive().await, Received::Closed(_)) {}
        before = Some(slave);
    }
    proxy.log.wait_for("Slave is degraded: it gets no calls for 600.0 s: 2 failed in a row, the last with protocol_error").await;
}
