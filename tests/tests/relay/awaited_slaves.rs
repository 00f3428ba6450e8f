//! Links that break and come back change nothing for clients: what the slave offers stays listed, and calls wait for it. A slave that left,
//! or was sent away, is not waited for.

use std::collections::BTreeMap;

use harness::client::{Client, McpRequest};
use harness::fault::FaultProxy;
use harness::plain::{node_slave, serve_like_node};
use harness::rawslave::{RawSlave, definition, dial, text_result};
use harness::relay::{CODE, Proxy, Setup};
use harness::wait;
use protocol::link::frame::{Frame, FrameKind};
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::CallId;
use serde_json::json;

/// A grace that no test sees the end of; slaves are awaited for less.
const LONG: &str = "600";

async fn lost(proxy: &Proxy, links: usize) {
    wait::until("the link to be lost", async || {
        (proxy.log.count("Active slave disconnected") >= links).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_that_come_while_the_link_is_down_are_answered_when_it_is_back() {
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).env("READY_MIN_SLAVES", "1").start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let _slave = Setup::slave("one", fault.address).env("RECONNECT_MAX", "0.2").start_slave().await;
    proxy.offers("echo").await;
    let clients = [Client::modern(proxy.http), Client::legacy(proxy.http).await];
    let before = clients[0].tool_names().await;
    fault.take_down();
    lost(&proxy, 1).await;
    let mut waiting = Vec::new();
    for client in &clients {
        waiting.push(client.start(McpRequest::tool(7, "echo", json!({ "text": "later" }))).await);
        assert_eq!(client.tool_names().await, before, "the list stays as it is");
    }
    let unknown = clients[0].call("never_there", json!({})).await;
    assert_eq!(unknown.kind(), "unknown_tool", "what the slave does not offer is not waited for");
    fault.refuse(false);
    for pending in &mut waiting {
        assert_eq!(pending.finish().await.text(), "later");
    }
}

fn far_labels() -> BTreeMap<String, String> {
    [("site".to_owned(), "far".to_owned())].into()
}

#[tokio::test]
async fn a_rule_s_only_slave_is_waited_for_though_others_have_the_tool() {
    let routes = tempfile::NamedTempFile::new().unwrap();
    let rule = "rules:\n  - name: far\n    match: {tool: raw_tool, argument: {pointer: /to, equals: far}}\n    to: {site: far}\n";
    std::fs::write(routes.path(), rule).unwrap();
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).env("ROUTES", routes.path().to_str().unwrap());
    let proxy = proxy.start_proxy().await;
    let mut near = RawSlave::link(proxy.link, CODE, "near", &["raw_tool"]).await;
    let labelled = |slave: &RawSlave| SlaveHello { labels: far_labels(), ..slave.hello("far") };
    let mut far = dial(proxy.link).await;
    far.authenticate_as(CODE, labelled(&far)).await;
    far.catalog(&json!({ "tools": [definition("raw_tool"), definition("far_tool")] })).await;
    proxy.offers("far_tool").await;
    let client = Client::modern(proxy.http);
    let mut again = dial(proxy.link).await;
    again.resume(&far);
    far.disconnect();
    lost(&proxy, 1).await;
    let mut pending = client.start(McpRequest::tool("far", "raw_tool", json!({ "to": "far" }))).await;
    let mut other = client.start(McpRequest::tool("any", "raw_tool", json!({}))).await;
    let opened = near.receive_open().await;
    near.end(opened.call, 0, &text_result("near")).await;
    assert_eq!(other.finish().await.text(), "near", "another slave takes what it may take at once");
    again.authenticate_as(CODE, labelled(&again)).await;
    let opened = again.receive_open().await;
    assert_eq!(opened.message["id"], "far");
    again.end(opened.call, 0, &text_result("far")).await;
    assert_eq!(pending.finish().await.text(), "far");
}

#[tokio::test]
async fn an_existing_slave_that_dials_again_is_waited_for() {
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).start_proxy().await;
    let link = node_slave(proxy.link, CODE).await.expect("accepted");
    let first = tokio::spawn(serve_like_node(link, "review"));
    proxy.offers("review").await;
    first.abort();
    lost(&proxy, 1).await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "review", json!({}))).await;
    let link = node_slave(proxy.link, CODE).await.expect("accepted");
    let _second = tokio::spawn(serve_like_node(link, "review"));
    let answer = pending.finish().await;
    assert!(answer.response().get("result").is_some(), "{answer:?}");
}

#[tokio::test]
async fn no_more_calls_wait_than_may() {
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).env("QUEUE_MAX", "2").start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "raw", &["raw_tool", "other_tool"]).await;
    proxy.offers("other_tool").await;
    let mut again = dial(proxy.link).await;
    again.resume(&slave);
    slave.disconnect();
    lost(&proxy, 1).await;
    let client = Client::modern(proxy.http);
    let call = |tool: &'static str| client.call(tool, json!({}));
    let serve = async {
        // Two of the three calls of one tool wait, and the one of another.
        let refused = wait::until("a call to be refused", async || {
            (proxy.log.count("No slave connected, cannot execute request") > 0).then_some(())
        });
        refused.await;
        again.authenticate(CODE, "raw").await;
        for _ in 0..3 {
            let opened = again.receive_open().await;
            again.end(opened.call, 0, &text_result("done")).await;
        }
    };
    let calls = [call("other_tool"), call("raw_tool"), call("raw_tool"), call("raw_tool")];
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), serve);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.response().get("error").is_some()).collect();
    assert_eq!(refused.iter().map(|answer| answer.kind()).collect::<Vec<_>>(), ["no_slave"]);
    assert!(refused[0].error()["data"]["retryAfter"].as_u64() > Some(0));
    assert!(answers[0].response().get("result").is_some(), "each tool has its own queue");
}

#[tokio::test]
async fn a_waiting_call_that_its_client_cancels_never_runs() {
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "raw", &["raw_tool"]).await;
    proxy.offers("raw_tool").await;
    let client = Client::legacy(proxy.http).await;
    let mut again = dial(proxy.link).await;
    again.resume(&slave);
    slave.disconnect();
    lost(&proxy, 1).await;
    let mut pending = client.start(McpRequest::tool("cancelled", "raw_tool", json!({}))).await;
    let ended = tokio::spawn(async move { pending.finish().await });
    // A cancellation may overtake its request.
    wait::until("the cancelled call to end", async || {
        client.cancel("cancelled").await;
        ended.is_finished().then_some(())
    })
    .await;
    assert!(ended.await.unwrap().messages.is_empty(), "a cancelled request is not answered");
    again.authenticate(CODE, "raw").await;
    let mut next = client.start(McpRequest::tool("next", "raw_tool", json!({}))).await;
    let opened = again.receive_open().await;
    assert_eq!(opened.message["id"], "next");
    again.end(opened.call, 0, &text_result("done")).await;
    assert_eq!(next.finish().await.text(), "done");
}

/// How a slave goes for good.
#[derive(Clone, Copy, Debug)]
enum Exit {
    /// It drains, and its connection breaks meanwhile.
    Drains,
    /// It closes its link.
    Closes,
    /// Its code is removed while its link is down.
    CodeRemoved,
}

#[tokio::test]
async fn a_slave_that_left_or_was_sent_away_is_not_waited_for() {
    for how in [Exit::Drains, Exit::Closes, Exit::CodeRemoved] {
        let codes = tempfile::NamedTempFile::new().unwrap();
        let kept = "- {code: kept-code, name: kept}\n";
        std::fs::write(codes.path(), format!("{kept}- {{code: raw-code, name: raw}}\n")).unwrap();
        let path = codes.path().to_str().unwrap();
        let proxy = Setup::proxy().env("LINK_GRACE", LONG).env("SLAVE_CODES_FILE", path).start_proxy().await;
        let awaited = RawSlave::link(proxy.link, "kept-code", "kept", &["kept_tool"]).await;
        let mut slave = RawSlave::link(proxy.link, "raw-code", "raw", &["raw_tool"]).await;
        proxy.offers("kept_tool").await;
        proxy.offers("raw_tool").await;
        if let Exit::Drains = how {
            slave.send(Frame::bare(FrameKind::Drain, CallId::LINK, 0)).await;
            proxy.withdraws("raw_tool").await;
        }
        awaited.disconnect();
        lost(&proxy, 1).await;
        match how {
            Exit::Drains => slave.disconnect(),
            Exit::Closes => slave.close(1001).await,
            Exit::CodeRemoved => {
                slave.disconnect();
                std::fs::write(codes.path(), kept).unwrap();
            }
        }
        lost(&proxy, 2).await;
        // The one that was lost first is still waited for when the other is not any more.
        let client = Client::modern(proxy.http);
        let names = wait::until("the tool of the slave that left to leave the list", async || {
            Some(client.tool_names().await).filter(|names| !names.contains(&"raw_tool".to_owned()))
        })
        .await;
        assert_eq!(names, ["kept_tool"], "{how:?}");
        assert_eq!(client.call("raw_tool", json!({})).await.kind(), "no_slave_for_tool", "{how:?}");
    }
}

#[tokio::test]
async fn a_process_that_comes_back_without_a_tool_is_not_waited_for() {
    let proxy = Setup::proxy().env("LINK_GRACE", LONG).start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "raw", &["raw_tool", "other_tool"]).await;
    proxy.offers("raw_tool").await;
    let mut again = dial(proxy.link).await;
    again.resume(&slave);
    slave.disconnect();
    lost(&proxy, 1).await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "raw_tool", json!({}))).await;
    // It says so together with its first message, before a call can reach it.
    again.authenticate(CODE, "raw").await;
    again.catalog(&json!({ "tools": [definition("other_tool")] })).await;
    proxy.withdraws("raw_tool").await;
    // A call that was faster than the catalog is with the slave.
    let served = async {
        let opened = again.receive_open().await;
        again.end(opened.call, 0, &text_result("too early")).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = pending.finish() => {
            assert!(answer.response().get("result").is_some() || answer.kind() == "unknown_tool", "{answer:?}");
        }
        () = served => {}
    }
    let later = Client::modern(proxy.http).call("raw_tool", json!({})).await;
    assert_eq!(later.kind(), "unknown_tool");
}
