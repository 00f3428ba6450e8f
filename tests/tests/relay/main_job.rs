//! The main path: lists, calls, progress during calls, and cancellation that reaches the backend.

use std::time::Duration;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::relay::{Proxy, Setup, Slave, pair};
use harness::{http, wait};
use serde_json::json;

async fn with_fixture() -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    (proxy, slave, fixture)
}

#[tokio::test]
async fn the_proxy_lists_what_the_slave_itself_lists() {
    let (proxy, slave) = pair().await;
    let through = Client::modern(proxy.http).tools().await;
    // The proxy sorts the list, always in the same order.
    assert_eq!(through, Client::legacy(proxy.http).await.tools().await);
    let direct = Client::modern(slave.http).tools().await;
    assert_eq!(through.len(), direct.len());
    assert!(direct.iter().all(|tool| through.contains(tool)), "{through:?} is not {direct:?}");
    for tool in ["echo", "sleep", "payload", "fail"] {
        assert!(through.iter().any(|t| t["name"] == tool), "{tool} in {through:?}");
    }
}

#[tokio::test]
async fn a_call_is_answered_by_the_slave_in_both_eras() {
    let (proxy, _slave) = pair().await;
    let text = "h\u{e9} \u{1f600} \"quoted\"\n\\ \u{2028} tab\t";
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        let answer = client.call("echo", json!({ "text": text })).await;
        assert_eq!((answer.status, answer.is_stream()), (200, false), "a lone result is plain JSON");
        assert_eq!(answer.text(), text);
    }
}

#[tokio::test]
async fn ids_come_back_as_the_client_wrote_them() {
    let (proxy, _slave) = pair().await;
    let client = Client::modern(proxy.http);
    for id in [json!(0), json!(-7), json!(9_007_199_254_740_993_u64), json!("a \u{e9}\""), json!("")] {
        let answer = client.request(McpRequest::tool(id.clone(), "echo", json!({ "text": "x" }))).await;
        assert_eq!(answer.response()["id"], id);
    }
}

#[tokio::test]
async fn progress_arrives_while_the_call_runs() {
    let (proxy, _slave, fixture) = with_fixture().await;
    for (era, client) in
        [("modern", Client::modern(proxy.http)), ("legacy", Client::legacy(proxy.http).await)]
    {
        fixture.open_gate(era, 0);
        let mut pending =
            client.start(McpRequest::tool(5, "run", run_args(era, 3)).progress("my token")).await;
        fixture.wait_for(era, "start").await;
        for step in 1..=3 {
            fixture.open_gate(era, step);
            let notice = pending.next().await.expect("progress");
            assert_eq!(notice["method"], "notifications/progress", "{era}: {notice}");
            assert_eq!(notice["params"]["progressToken"], "my token", "{era}");
            assert_eq!(notice["params"]["progress"], json!(step), "{era}");
            assert!(!fixture.log(era).contains(&"end".to_owned()), "{era}: the call still runs");
        }
        assert_eq!(pending.exchange.header("x-accel-buffering"), "no", "{era}");
        fixture.open_gate(era, 4);
        assert_eq!(pending.finish().await.text(), format!("done {era}"));
    }
}

#[tokio::test]
async fn demo_progress_counts_its_steps() {
    let (proxy, _slave) = pair().await;
    let ask = McpRequest::tool(1, "sleep", json!({ "seconds": 0.2, "steps": 4 })).progress(17);
    let answer = Client::modern(proxy.http).request(ask).await;
    assert_eq!(answer.progress().len(), 4, "{:?}", answer.messages);
    assert!(answer.progress().is_sorted());
    answer.result();
}

#[tokio::test]
async fn a_modern_client_that_disconnects_cancels_its_call_at_the_backend() {
    let (proxy, _slave, fixture) = with_fixture().await;
    fixture.open_gate("silent", 0);
    fixture.open_gate("streaming", 1);
    let client = Client::modern(proxy.http);
    let silent = client.start(McpRequest::tool(1, "run", run_args("silent", 1))).await;
    let mut streaming = client.start(McpRequest::tool(2, "run", run_args("streaming", 2)).progress(1)).await;
    fixture.wait_for("silent", "start").await;
    streaming.next().await.expect("progress");
    drop(silent);
    drop(streaming);
    fixture.wait_for("silent", "cancelled").await;
    fixture.wait_for("streaming", "cancelled").await;
}

#[tokio::test]
async fn a_legacy_client_cancels_with_a_notification() {
    let (proxy, _slave, fixture) = with_fixture().await;
    let client = Client::legacy(proxy.http).await;
    fixture.open_gate("mine", 0);
    let mut pending = client.start(McpRequest::tool("the call", "run", run_args("mine", 1))).await;
    fixture.wait_for("mine", "start").await;
    // Unknown ids are ignored.
    client.cancel("another call").await;
    client.cancel("the call").await;
    fixture.wait_for("mine", "cancelled").await;
    fixture.wait_for("cancelled", "the test says so").await;
    let rest = pending.finish().await.messages;
    assert!(rest.iter().all(|message| message.get("method").is_some()), "no response: {rest:?}");
}

#[tokio::test]
async fn a_cancellation_ends_only_the_session_s_own_call() {
    let (proxy, _slave, fixture) = with_fixture().await;
    let one = Client::legacy(proxy.http).await;
    let two = Client::legacy(proxy.http).await;
    assert_ne!(one.session, two.session);
    for key in ["first", "second"] {
        fixture.open_gate(key, 0);
    }
    let _first = one.start(McpRequest::tool(1, "run", run_args("first", 0))).await;
    let mut second = two.start(McpRequest::tool(1, "run", run_args("second", 0))).await;
    fixture.wait_for("first", "start").await;
    fixture.wait_for("second", "start").await;
    one.cancel(1).await;
    fixture.wait_for("first", "cancelled").await;
    fixture.open_gate("second", 9);
    assert_eq!(second.finish().await.text(), "done second");
}

#[tokio::test]
async fn a_legacy_client_that_disconnects_does_not_cancel() {
    let (proxy, _slave, fixture) = with_fixture().await;
    let client = Client::legacy(proxy.http).await;
    fixture.open_gate("kept", 0);
    let pending = client.start(McpRequest::tool(1, "run", run_args("kept", 1))).await;
    fixture.wait_for("kept", "start").await;
    drop(pending);
    let span = Duration::from_millis(500);
    wait::never("cancellation", span, async || {
        fixture.log("kept").contains(&"cancelled".into()).then_some(())
    })
    .await;
    fixture.open_gate("kept", 9);
    fixture.wait_for("kept", "end").await;
}

#[tokio::test]
async fn clients_with_the_same_request_id_get_their_own_answers() {
    let (proxy, _slave, fixture) = with_fixture().await;
    let clients = [Client::modern(proxy.http), Client::modern(proxy.http), Client::legacy(proxy.http).await];
    let keys = ["a", "b", "c"];
    let mut pending = Vec::new();
    for (client, key) in clients.iter().zip(keys) {
        fixture.open_gate(key, 0);
        pending.push(client.start(McpRequest::tool(1, "run", run_args(key, 1)).progress(1)).await);
        fixture.wait_for(key, "start").await;
    }
    // Answered in the opposite order.
    for (key, pending) in keys.iter().zip(&mut pending).rev() {
        fixture.open_gate(key, 9);
        let answer = pending.finish().await;
        assert_eq!(answer.text(), format!("done {key}"));
        assert_eq!(answer.progress(), [1.0]);
    }
}

#[tokio::test]
async fn a_tool_s_own_failure_is_a_result() {
    let (proxy, _slave) = pair().await;
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        let answer = client.call("fail", json!({ "message": "as asked" })).await;
        assert_eq!(answer.result()["isError"], true);
        assert!(answer.text().contains("as asked"));
    }
}

#[tokio::test]
async fn an_unknown_tool_and_a_lost_one_are_different_failures() {
    let (proxy, slave) = pair().await;
    let client = Client::modern(proxy.http);
    let answer = client.call("no_such_tool", json!({})).await;
    assert_eq!((answer.code(), answer.kind()), (-32602, "unknown_tool"));
    drop(slave);
    proxy.withdraws("echo").await;
    let answer = client.call("echo", json!({ "text": "x" })).await;
    assert_eq!(answer.code(), -31000, "{:?}", answer.messages);
    assert_eq!(answer.error()["message"], "No slave server connected to proxy");
}

#[tokio::test]
async fn the_document_s_log_lines_are_there() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await.result();
    for phrase in [
        "[PROXY] WebSocket server listening on ",
        "[PROXY] New slave connection attempt",
        "[PROXY] Slave authenticated successfully",
        "[PROXY] Forwarding request to slave: tools/call (id: ",
        "[PROXY] Received response from slave",
        "[PROXY] Response forwarded to client",
    ] {
        proxy.log.wait_for(phrase).await;
    }
    for phrase in [
        "[SLAVE] Connecting to proxy server at ws://",
        "[SLAVE] Authentication successful, ready to receive requests",
        "[SLAVE] Received request from proxy: ",
        "[SLAVE] Sending response back to proxy",
    ] {
        slave.log.wait_for(phrase).await;
    }
    drop(slave);
    proxy.log.wait_for("[PROXY] Active slave disconnected").await;
    Client::modern(proxy.http).call("echo", json!({ "text": "x" })).await.error();
    proxy.log.wait_for("[PROXY] No slave connected, cannot execute request").await;
}

#[tokio::test]
async fn the_existing_server_s_paths_are_served() {
    let (proxy, _slave) = pair().await;
    for path in ["/mcp", "/", "/messages/", "/sse"] {
        let client = Client::legacy_on(proxy.http, path, "2025-06-18").await;
        assert_eq!(client.call("echo", json!({ "text": path })).await.text(), path);
    }
    let (status, body) = http::get(proxy.http, "/nowhere").await;
    assert_eq!(status, 404, "{body}");
}
