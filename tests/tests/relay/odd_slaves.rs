//! Slaves that keep the wire format but not the protocol: answers without a call, second answers, no answers.

use bytes::Bytes;
use harness::client::{Client, McpRequest};
use harness::frames::{CallId, Flags, Frame, FrameKind, InstanceId};
use harness::rawslave::{OpenCall, RawSlave, definition, dial, text_result};
use harness::relay::{CODE, Proxy, Setup};
use harness::wait;
use serde_json::json;

async fn linked() -> (Proxy, RawSlave) {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "odd", &["tool"]).await;
    proxy.offers("tool").await;
    (proxy, slave)
}

fn progress(step: u32) -> serde_json::Value {
    let params = json!({ "progressToken": 1, "progress": step });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}

/// Calls the tool and answers it, which shows that proxy and link work.
async fn works(proxy: &Proxy, slave: &mut RawSlave, what: &str) {
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.end(opened.call, 0, &text_result(what)).await;
    assert_eq!(pending.finish().await.text(), what);
}

#[tokio::test]
async fn an_answer_without_a_call_is_dropped() {
    let (proxy, mut slave) = linked().await;
    let stranger = CallId::new(InstanceId(77), 1);
    slave.event(stranger, 0, &progress(1)).await;
    slave.end(stranger, 1, &text_result("unasked")).await;
    slave.send(Frame::bare(FrameKind::Accepted, stranger, 1)).await;
    slave.send(Frame::bare(FrameKind::Credit, stranger, 1)).await;
    works(&proxy, &mut slave, "asked").await;
}

#[tokio::test]
async fn a_second_answer_reaches_no_one() {
    let (proxy, mut slave) = linked().await;
    let mut pending =
        Client::modern(proxy.http).start(McpRequest::tool(1, "tool", json!({})).progress(1)).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.end(opened.call, 0, &text_result("first")).await;
    slave.end(opened.call, 1, &text_result("second")).await;
    slave.event(opened.call, 2, &progress(9)).await;
    slave.end(opened.call, 0, &text_result("third")).await;
    let answer = pending.finish().await;
    assert_eq!((answer.messages.len(), answer.text()), (1, "first"));
    // The proxy may close the link; a slave that keeps the rules is served as before.
    drop(slave);
    let mut good = RawSlave::link(proxy.link, CODE, "good", &["tool", "mark"]).await;
    proxy.offers("mark").await;
    works(&proxy, &mut good, "next").await;
}

#[tokio::test]
async fn an_answer_without_acceptance_is_valid() {
    let (proxy, mut slave) = linked().await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.end(opened.call, 0, &text_result("at once")).await;
    assert_eq!(pending.finish().await.text(), "at once");
}

#[tokio::test]
async fn a_slave_that_comes_back_is_asked_to_resume() {
    let (proxy, mut slave) = linked().await;
    let ask = McpRequest::tool(1, "tool", json!({})).progress(1);
    let mut pending = Client::modern(proxy.http).start(ask).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.event(opened.call, 0, &progress(1)).await;
    slave.event(opened.call, 1, &progress(2)).await;
    pending.next().await.expect("progress");
    pending.next().await.expect("progress");
    let mut again = dial(proxy.link).await;
    again.resume(&slave);
    slave.disconnect();
    again.authenticate(CODE, "odd").await;
    let attach = again.frame(FrameKind::Attach).await;
    assert_eq!((attach.call, attach.seq), (opened.call, 2));
    again.accept(&opened).await;
    again.event(opened.call, 2, &progress(3)).await;
    again.end(opened.call, 3, &text_result("done")).await;
    let answer = pending.finish().await;
    assert_eq!((answer.progress(), answer.text()), (vec![3.0], "done"));
}

#[tokio::test]
async fn a_slave_that_comes_back_without_the_call_gets_it_again_only_if_it_never_ran() {
    let (proxy, mut slave) = linked().await;
    let client = Client::modern(proxy.http);
    for accept in [true, false] {
        let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
        let opened = slave.receive_open().await;
        if accept {
            slave.accept(&opened).await;
            // The acceptance has arrived when a later message of the same link has.
            slave.catalog(&json!({ "tools": [definition("tool"), definition("mark")] })).await;
            proxy.offers("mark").await;
        }
        let mut again = dial(proxy.link).await;
        again.resume(&slave);
        slave.disconnect();
        again.authenticate(CODE, "odd").await;
        again.catalog(&json!({ "tools": [definition("tool")] })).await;
        let attach = again.frame(FrameKind::Attach).await;
        assert_eq!(attach.call, opened.call);
        again.send(Frame { flags: Flags::GONE, ..Frame::bare(FrameKind::End, opened.call, 0) }).await;
        if accept {
            assert_eq!(pending.finish().await.kind(), "outcome_unknown");
        } else {
            let opened = again.receive_open().await;
            again.end(opened.call, 0, &text_result("moved")).await;
            assert_eq!(pending.finish().await.text(), "moved");
        }
        slave = again;
    }
}

#[tokio::test]
async fn a_chunk_out_of_order_ends_the_link() {
    let (proxy, mut slave) = linked().await;
    let _pending = Client::modern(proxy.http).start(McpRequest::tool(1, "tool", json!({})).progress(1)).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.event(opened.call, 0, &progress(1)).await;
    slave.event(opened.call, 0, &progress(1)).await;
    assert_eq!(slave.close_code().await, Some(1002));
}

#[tokio::test]
async fn a_call_never_answered_times_out_and_is_cancelled() {
    let proxy = Setup::proxy().env("REQUEST_TIMEOUT", "0.5").start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, CODE, "odd", &["tool"]).await;
    proxy.offers("tool").await;
    for accept in [true, false] {
        for (client, code) in
            [(Client::modern(proxy.http), -31013), (Client::legacy(proxy.http).await, -32001)]
        {
            let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
            let opened = slave.receive_open().await;
            if accept {
                slave.accept(&opened).await;
            }
            let answer = pending.finish().await;
            assert_eq!((answer.code(), answer.kind()), (code, "timeout"));
            assert_eq!(answer.error()["message"], "Proxy request timeout");
            assert_eq!(slave.frame(FrameKind::Cancel).await.call, opened.call);
            // The answer is too late: it is dropped without an effect on other calls.
            slave.end(opened.call, 0, &text_result("late")).await;
        }
    }
    works(&proxy, &mut slave, "in time").await;
}

#[tokio::test]
async fn progress_restarts_the_timeout_but_not_the_total() {
    let proxy =
        Setup::proxy().env("REQUEST_TIMEOUT", "1").env("REQUEST_TIMEOUT_TOTAL", "4").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("sleep").await;
    let client = Client::modern(proxy.http);
    let ask = |seconds, steps| {
        McpRequest::tool(1, "sleep", json!({ "seconds": seconds, "steps": steps })).progress(1)
    };
    let lively = client.request(ask(2.4, 8)).await;
    assert_eq!(lively.progress().len(), 8);
    lively.result();
    let endless = client.request(ask(20.0, 60)).await;
    assert_eq!((endless.code(), endless.progress().len() > 4), (-31013, true));
    let silent = client.request(McpRequest::tool(1, "sleep", json!({ "seconds": 20, "steps": 1 }))).await;
    assert_eq!(silent.kind(), "timeout");
}

#[tokio::test]
async fn cancellation_reaches_a_slave_once_and_ends_the_call() {
    let (proxy, mut slave) = linked().await;
    let pending = Client::modern(proxy.http).start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened: OpenCall = slave.receive_open().await;
    slave.accept(&opened).await;
    drop(pending);
    assert_eq!(slave.frame(FrameKind::Cancel).await.call, opened.call);
    slave.end(opened.call, 0, &text_result("too late")).await;
    works(&proxy, &mut slave, "after a cancel").await;
}

#[tokio::test]
async fn bytes_pass_unaltered_both_ways() {
    let (proxy, mut slave) = linked().await;
    let body = r#"{ "z" : 1.50e+2, "jsonrpc":"2.0", "method":"tools/call","id" : "i\u0064", "params":{"arguments":{"b":1E400,"a":"\u00e9\/"},
        "name":"tool","_meta":{"progressToken":1}}}"#;
    let client = Client::legacy(proxy.http).await;
    let exchange = tokio::spawn(async move { client.post(body.as_bytes()).await.rest().await });
    let opened = slave.receive_open().await;
    assert_eq!(String::from_utf8(opened.bytes.clone()).unwrap(), body);
    let result = r#"{ "content":[],"x":1.0e+2,"y":[0.10,-0,1E400],"u":"\u00e9\/", "_meta":{"b":1,"a":2} }"#;
    let payload = Bytes::from_static(result.as_bytes());
    slave.send(Frame { payload, ..Frame::bare(FrameKind::End, opened.call, 0) }).await;
    let answer = String::from_utf8(exchange.await.unwrap()).unwrap();
    assert!(answer.contains(result), "{answer}");
    assert!(answer.contains(r#""id":"i\u0064""#), "{answer}");
}

#[tokio::test]
async fn a_changed_catalog_shows_in_the_next_list() {
    let (proxy, mut slave) = linked().await;
    slave.catalog(&json!({ "tools": [definition("another")] })).await;
    proxy.offers("another").await;
    proxy.withdraws("tool").await;
    slave.catalog(&json!({})).await;
    proxy.withdraws("another").await;
}

#[tokio::test]
async fn a_call_in_flight_ends_distinctly_when_its_slave_does_not_come_back() {
    let proxy = Setup::proxy().env("LINK_GRACE", "0.5").start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, CODE, "odd", &["tool"]).await;
    proxy.offers("tool").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.disconnect();
    let answer = wait::within("the end of the call", wait::TIMEOUT, pending.finish()).await;
    assert_eq!(answer.kind(), "outcome_unknown");
}
