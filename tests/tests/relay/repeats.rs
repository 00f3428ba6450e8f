//! `RETRY_IDEMPOTENT`: calls of tools that allow it are run again, other calls never.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use harness::client::{Client, McpRequest};
use harness::http::get;
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, dial, text_result};
use harness::relay::{CODE, Proxy, Setup, sleep_args};
use harness::wait;
use nix::sys::signal::Signal;
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::{Value, json};

/// Three tools: one read-only, one idempotent but destructive, one without annotations.
async fn slave(proxy: SocketAddr, name: &str) -> RawSlave {
    let mut slave = dial(proxy).await;
    slave.authenticate(CODE, name).await;
    let tool = |name: &str, annotations: Value| json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": annotations });
    let tools = [
        tool("read", json!({ "readOnlyHint": true })),
        tool("burn", json!({ "idempotentHint": true, "destructiveHint": true })),
        tool("quiet", json!({})),
    ];
    slave.catalog(&json!({ "tools": tools })).await;
    slave
}

async fn start(retry: &str) -> Proxy {
    Setup::proxy().env("RETRY_IDEMPOTENT", retry).env("LINK_GRACE", "0.3").start_proxy().await
}

async fn repeated(proxy: &Proxy) -> f64 {
    Scrape::of(proxy.http).await.sum("mcp_relay_retries_total", &[])
}

async fn fail_by_backend(slave: &mut RawSlave) {
    let call = slave.receive_open().await.call;
    let object = Failure::BackendFailed { backend: "b".into(), reason: "died".into(), retry_after: None }
        .error_object(Era::Legacy);
    let frame = Frame::bare(FrameKind::End, call, 0);
    slave.send(Frame { payload: object.into(), flags: Flags::ERROR, ..frame }).await;
}

#[tokio::test]
async fn a_call_that_may_run_again_goes_to_another_slave_and_others_do_not() {
    for (retry, tool, again) in
        [("1", "read", true), ("1", "burn", false), ("1", "quiet", false), ("0", "read", false)]
    {
        let proxy = start(retry).await;
        let mut first = slave(proxy.link, "first").await;
        proxy.offers(tool).await;
        let client = Client::modern(proxy.http);
        for fault in ["backend_failed", "outcome_unknown"] {
            let mut pending = client.start(McpRequest::tool(1, tool, json!({}))).await;
            if fault == "backend_failed" {
                fail_by_backend(&mut first).await;
            } else {
                let opened = first.receive_open().await;
                first.accept(&opened).await;
                first.disconnect();
                first = slave(proxy.link, "next").await;
            }
            if again {
                let opened = first.receive_open().await;
                first.end(opened.call, 0, &text_result("again")).await;
                assert_eq!(pending.finish().await.text(), "again", "{tool}, {fault}");
            } else {
                assert_eq!(pending.finish().await.kind(), fault, "{tool}, RETRY_IDEMPOTENT={retry}");
            }
        }
        let expected = if again { 2.0 } else { 0.0 };
        assert!((repeated(&proxy).await - expected).abs() < 0.1, "{tool}, RETRY_IDEMPOTENT={retry}");
    }
}

#[tokio::test]
async fn a_call_runs_three_times_at_most_and_then_fails() {
    let proxy = start("1").await;
    let mut only = slave(proxy.link, "only").await;
    proxy.offers("read").await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "read", json!({}))).await;
    for _ in 0..3 {
        fail_by_backend(&mut only).await;
    }
    assert_eq!(pending.finish().await.kind(), "backend_failed");
    assert!((repeated(&proxy).await - 2.0).abs() < 0.1);
}

#[tokio::test]
async fn the_status_page_shows_a_call_under_its_current_id() {
    let setup = Setup::proxy().env("RETRY_IDEMPOTENT", "1").env("UI", "1");
    let proxy = setup.start_proxy().await;
    let mut only = slave(proxy.link, "only").await;
    proxy.offers("read").await;
    let mut pending = Client::modern(proxy.http).start(McpRequest::tool(1, "read", json!({}))).await;
    fail_by_backend(&mut only).await;
    let call = only.receive_open().await.call;
    let ids = async |list: &str| {
        let (_, calls) = get(proxy.http, "/api/v1/calls").await;
        let calls: Value = serde_json::from_str(&calls).unwrap();
        calls.pointer(list).unwrap()[0]["id"].clone()
    };
    assert_eq!(ids("/live/list").await, call.to_string());
    only.end(call, 0, &text_result("again")).await;
    assert_eq!(pending.finish().await.text(), "again");
    assert_eq!(ids("/recent").await, call.to_string());
}

#[tokio::test]
async fn a_call_that_has_sent_a_part_of_its_result_is_not_run_again() {
    let proxy = start("1").await;
    let mut first = slave(proxy.link, "first").await;
    proxy.offers("read").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "read", json!({}))).await;
    let opened = first.receive_open().await;
    let part = Frame { flags: Flags::MORE, ..Frame::bare(FrameKind::End, opened.call, 0) };
    first.send(Frame { payload: Bytes::from_static(b"{\"content\":["), ..part }).await;
    pending.exchange.head().await;
    assert!(pending.exchange.try_chunk().await.is_ok(), "the first part is there");
    let mut second = slave(proxy.link, "second").await;
    proxy.accepted(2).await;
    first.disconnect();
    while let Ok(Some(_)) = pending.exchange.try_chunk().await {}
    let call = tokio::time::timeout(Duration::from_millis(500), second.receive_small_open());
    assert!(call.await.is_err(), "nothing is sent to the other slave");
    assert!(repeated(&proxy).await < 0.1);
}

#[tokio::test]
async fn a_killed_and_restarted_slave_runs_an_idempotent_call_again() {
    let proxy = Setup::proxy().env("RETRY_IDEMPOTENT", "1").env("LINK_GRACE", "600").start_proxy().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let setup = Setup::slave("same", proxy.link).env("MCP_SERVER_PORT", port.to_string());
    let killed = setup.start_slave().await;
    proxy.offers("sleep").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "sleep", sleep_args(0.5, 5)).progress(1)).await;
    pending.next().await.unwrap();
    killed.signal(Signal::SIGKILL);
    drop(killed);
    let _restarted = setup.start_slave().await;
    let answer = wait::within("an answer of the restarted slave", wait::TIMEOUT, pending.finish()).await;
    assert!(!answer.text().is_empty());
    assert!(
        answer.progress().ends_with(&[4.0, 5.0]),
        "progress begins anew and comes to its end: {answer:?}"
    );
    assert!((repeated(&proxy).await - 1.0).abs() < 0.1);
}
