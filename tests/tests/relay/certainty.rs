//! "Outcome unknown" is reported as soon as it is certain, before the end of `LINK_GRACE`, and never earlier.

use std::net::SocketAddr;
use std::time::Duration;

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::rawslave::{RawSlave, definition, dial, text_result};
use harness::relay::{CODE, Setup};
use harness::wait;
use nix::sys::signal::Signal;
use protocol::link::frame::{Frame, FrameKind};
use protocol::link::handshake::SlaveHello;
use protocol::link::ids::CallId;
use serde_json::json;

/// A free port.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// A proxy whose `LINK_GRACE` is longer than any time limit of a test.
fn patient_proxy() -> Setup {
    Setup::proxy().env("LINK_GRACE", "600")
}

#[tokio::test]
async fn the_outcome_is_unknown_once_a_killed_slave_has_restarted() {
    let fixture = Fixture::default();
    let proxy = patient_proxy().start_proxy().await;
    let port = free_port();
    let setup = || fixture.serve(Setup::slave("same", proxy.link).env("MCP_SERVER_PORT", port.clone()));
    let slave = setup().start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("old", 1);
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "run", run_args("old", 2)).progress(1)).await;
    pending.next().await.unwrap();
    slave.signal(Signal::SIGKILL);
    drop(slave);
    let _new = setup().start_slave().await;
    proxy.accepted(2).await;
    let answer =
        wait::within("the outcome, before the end of LINK_GRACE", wait::TIMEOUT, pending.finish()).await;
    assert_eq!(answer.kind(), "outcome_unknown");
    proxy.offers("run").await;
    assert_eq!(client.call("run", run_args("new", 0)).await.text(), "done new");
    assert_eq!(fixture.log("old"), ["start"], "and it was not run again");
}

async fn seated(proxy: SocketAddr, seat: &str) -> RawSlave {
    let mut slave = dial(proxy).await;
    let hello = SlaveHello { seat: Some(seat.into()), ..slave.hello("raw") };
    slave.authenticate_as(CODE, hello).await;
    slave.catalog(&json!({ "tools": [definition("t")] })).await;
    slave
}

#[tokio::test]
async fn only_the_same_seat_proves_that_a_slave_is_gone() {
    let proxy = patient_proxy().start_proxy().await;
    let mut first = seated(proxy.link, "one").await;
    proxy.offers("t").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "t", json!({}))).await;
    let opened = first.receive_open().await;
    first.accept(&opened).await;
    first.disconnect();
    proxy.log.wait_for("Active slave disconnected").await;
    let _other = seated(proxy.link, "two").await;
    proxy.accepted(2).await;
    let what = "a slave of the same name in another seat proves nothing";
    wait::never(what, Duration::from_millis(500), async || {
        let calls = Scrape::of(proxy.http).await.sum("mcp_relay_calls_in_flight", &[]);
        (calls < 0.5).then_some(())
    })
    .await;
    let _same = seated(proxy.link, "one").await;
    let answer = wait::within("the outcome", wait::TIMEOUT, pending.finish()).await;
    assert_eq!(answer.kind(), "outcome_unknown");
}

#[tokio::test]
async fn a_slave_with_a_living_link_is_not_taken_for_gone() {
    let proxy = patient_proxy().start_proxy().await;
    let mut first = seated(proxy.link, "one").await;
    proxy.offers("t").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "t", json!({}))).await;
    let opened = first.receive_open().await;
    let _same = seated(proxy.link, "one").await;
    proxy.accepted(2).await;
    first.end(opened.call, 0, &text_result("still here")).await;
    assert_eq!(pending.finish().await.text(), "still here");
}

#[tokio::test]
async fn calls_left_after_a_drain_end_at_once() {
    let proxy = patient_proxy().start_proxy().await;
    let mut slave = RawSlave::link(proxy.link, CODE, "raw", &["t"]).await;
    proxy.offers("t").await;
    let client = Client::modern(proxy.http);
    let mut pending = client.start(McpRequest::tool(1, "t", json!({}))).await;
    let opened = slave.receive_open().await;
    slave.accept(&opened).await;
    slave.send(Frame::bare(FrameKind::Drain, CallId::LINK, 0)).await;
    proxy.log.wait_for("Slave is going down").await;
    slave.close(1001).await;
    let answer = wait::within("the outcome", wait::TIMEOUT, pending.finish()).await;
    assert_eq!(answer.kind(), "outcome_unknown");
}
