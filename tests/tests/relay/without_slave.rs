//! Calls that are with no slave, or with one whose link is down: cancelled ones never run, and a tool is not reported as
//! unknown while a first catalog is outstanding.

use harness::client::{Client, McpRequest};
use harness::plain::{node_slave, serve_like_node};
use harness::rawslave::{RawSlave, definition, dial, text_result};
use harness::relay::{CODE, Setup};
use harness::wait;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::ids::CallId;
use serde_json::json;

#[tokio::test]
async fn a_tool_is_not_called_unknown_while_a_slave_s_first_catalog_is_on_its_way() {
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = RawSlave::link(proxy.link, CODE, "offers", &["raw_tool"]).await;
    proxy.offers("raw_tool").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.call("later", json!({})).await.kind(), "unknown_tool");
    let mut late = dial(proxy.link).await;
    late.authenticate(CODE, "late").await;
    let part = |backend: &str, position: u32, tool: &str| json!({ "backend": backend, "position": position, "lists": { "tools": { "items": [definition(tool)] } } });
    late.part(&part("quick", 0, "quick_tool")).await;
    late.part(&json!({ "slave": { "complete": false } })).await;
    proxy.offers("quick_tool").await;
    // The call waits for the rest of the catalog.
    let serve = async {
        late.part(&part("slow", 1, "later")).await;
        late.part(&json!({ "slave": { "complete": true } })).await;
        let opened = late.receive_open().await;
        late.end(opened.call, 0, &text_result("came")).await;
    };
    let (answer, ()) = tokio::join!(client.call("later", json!({})), serve);
    assert_eq!(answer.text(), "came");
    wait::until("the catalog to be complete", async || {
        (client.call("never", json!({})).await.kind() == "unknown_tool").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_legacy_call_that_is_cancelled_while_no_slave_has_it_never_runs() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, CODE, "raw", &["raw_tool"]).await;
    proxy.offers("raw_tool").await;
    let client = Client::legacy(proxy.http).await;
    let mut pending = client.start(McpRequest::tool("cancelled", "raw_tool", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.catalog(&json!({ "tools": [] })).await;
    proxy.withdraws("raw_tool").await;
    // The slave reports that the call never arrived, so now no slave has it.
    slave.send(Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, opened.call, 0) }).await;
    client.cancel("cancelled").await;
    assert!(pending.finish().await.messages.is_empty(), "a cancelled request is not answered");
    slave.catalog(&json!({ "tools": [definition("raw_tool")] })).await;
    proxy.offers("raw_tool").await;
    let mut next = client.start(McpRequest::tool("next", "raw_tool", json!({}))).await;
    let opened = slave.receive_open().await;
    assert_eq!(opened.message["id"], "next", "the cancelled one is not sent");
    slave.end(opened.call, 0, &text_result("done")).await;
    assert_eq!(next.finish().await.text(), "done");
}

#[tokio::test]
async fn a_legacy_call_that_is_cancelled_while_its_slave_s_link_is_down_ends_when_it_is_back() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, CODE, "raw", &["raw_tool"]).await;
    proxy.offers("raw_tool").await;
    let client = Client::legacy(proxy.http).await;
    let _pending = client.start(McpRequest::tool("lost", "raw_tool", json!({}))).await;
    let opened = slave.receive_open().await;
    let mut again = dial(proxy.link).await;
    again.resume(&slave);
    slave.disconnect();
    proxy.log.wait_for("Active slave disconnected").await;
    client.cancel("lost").await;
    again.authenticate(CODE, "raw").await;
    let session = again.frame(FrameKind::Session).await;
    let facts: serde_json::Value = serde_json::from_slice(&session.payload).unwrap();
    let digest = opened.header.cancel_id.expect("a digest of a legacy client's call");
    assert_eq!(facts, serde_json::json!({ "cancel": [digest], "reason": "the test says so" }));
    assert_eq!(again.frame(FrameKind::Attach).await.call, opened.call);
}

/// How the slave of a tool goes.
#[derive(Clone, Copy, Debug)]
enum OfferEnd {
    /// It announces that it drains.
    Drains,
    /// Its connection ends.
    Lost,
    /// A slave of the plain dialect closes its link.
    Closes,
}

/// Holds for a slave that is awaited as well, once its time is over.
#[tokio::test]
async fn a_tool_whose_slaves_leave_is_never_unknown() {
    let scenes = [
        (OfferEnd::Drains, false, "draining"),
        (OfferEnd::Lost, false, "no_slave"),
        (OfferEnd::Closes, false, "no_slave"),
        (OfferEnd::Drains, true, "no_slave_for_tool"),
        (OfferEnd::Lost, true, "no_slave_for_tool"),
        (OfferEnd::Closes, true, "no_slave_for_tool"),
    ];
    let scenes = scenes.map(|(leaving, with_another, kind)| is_told_why(leaving, with_another, kind));
    futures_util::future::join_all(scenes).await;
}

async fn is_told_why(leaving: OfferEnd, with_another: bool, kind: &'static str) {
    let proxy = Setup::proxy().env("LINK_GRACE", "600").start_proxy().await;
    let _other = if with_another {
        let other = RawSlave::link(proxy.link, CODE, "other", &["other_tool"]).await;
        proxy.offers("other_tool").await;
        Some(other)
    } else {
        None
    };
    let (mut native, mut plain) = (None, None);
    if let OfferEnd::Closes = leaving {
        let link = node_slave(proxy.link, CODE).await.expect("accepted");
        plain = Some(tokio::spawn(serve_like_node(link, "raw_tool")));
    } else {
        native = Some(RawSlave::link(proxy.link, CODE, "leaving", &["raw_tool"]).await);
    }
    proxy.offers("raw_tool").await;
    match (leaving, &mut native) {
        (OfferEnd::Drains, Some(slave)) => {
            slave.send(Frame::bare(FrameKind::Drain, CallId::LINK, 0)).await;
        }
        (_, slave) => {
            plain.iter().for_each(tokio::task::JoinHandle::abort);
            drop(slave.take());
        }
    }
    proxy.withdraws("raw_tool").await;
    let (legacy, modern) = (Client::legacy(proxy.http).await, Client::modern(proxy.http));
    for client in [&legacy, &modern] {
        let answer = client.call("raw_tool", json!({})).await;
        let what = format!("{leaving:?}, another: {with_another}");
        assert_eq!(answer.kind(), kind, "{what}");
        assert!(answer.error()["data"]["retryAfter"].as_u64() > Some(0), "{what}: {}", answer.error());
    }
    let unknown = modern.call("never_there", json!({})).await;
    assert_eq!(unknown.kind() == "unknown_tool", with_another);
    drop(native);
}
