//! Late answers in the plain dialect: an answer that comes, or is to be sent, after the link of its request has broken.

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::plain::{NodeProxy, PlainLink, node_slave};
use harness::rawslave::{definition, text_result};
use harness::relay::{CODE, Proxy, Setup};
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const OTHER_CODE: &str = "another-code-of-the-tests";

/// Answers the proxy's own requests until a `tools/call` arrives.
async fn next_call(link: &mut PlainLink) -> Value {
    loop {
        let request = link.request().await;
        match request["method"].as_str().unwrap() {
            "tools/call" => return request,
            "tools/list" => link.answer(&request, json!({ "tools": [definition("review")] })).await,
            _ => link.answer(&request, json!({})).await,
        }
    }
}

/// Links a Node slave and lets a client call its tool.
async fn called(proxy: &Proxy, client: &Client) -> (PlainLink, Value, Pending) {
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let (request, pending) = tokio::join!(next_call(&mut link), async {
        proxy.offers("review").await;
        client.start(McpRequest::tool(1, "review", json!({ "of": "A" }))).await
    });
    (link, request, pending)
}

async fn in_flight(proxy: &Proxy) -> f64 {
    Scrape::of(proxy.http).await.sum("mcp_relay_link_calls_in_flight", &[])
}

#[tokio::test]
async fn a_node_slave_s_answer_on_its_next_link_reaches_the_client() {
    let proxy = Setup::proxy().env("LINK_GRACE", "600").start_proxy().await;
    let client = Client::modern(proxy.http);
    for (round, close) in [None, Some(1000), Some(1001), Some(4000)].into_iter().enumerate() {
        let (link, request, mut pending) = called(&proxy, &client).await;
        match close {
            Some(code) => link.close(code).await,
            None => drop(link),
        }
        wait::until("the link to be known as lost", async || {
            (proxy.log.count("Active slave disconnected") > round).then_some(())
        })
        .await;
        let mut back = node_slave(proxy.link, CODE).await.expect("accepted again");
        back.answer(&request, text_result("A")).await;
        assert_eq!(pending.finish().await.text(), "A", "{close:?}");
        back.close(1000).await;
        wait::until("the second link to be lost", async || (in_flight(&proxy).await == 0.0).then_some(()))
            .await;
        proxy.withdraws("review").await;
    }
}

#[tokio::test]
async fn the_answer_of_another_identity_is_none() {
    let codes = format!("{CODE},{OTHER_CODE}");
    let proxy = Setup::proxy().env("SLAVE_CODES", codes).env("LINK_GRACE", "2").start_proxy().await;
    let (link, request, mut pending) = called(&proxy, &Client::modern(proxy.http)).await;
    let mut stranger = node_slave(proxy.link, OTHER_CODE).await.expect("accepted");
    stranger.answer(&request, text_result("B")).await;
    drop(link);
    proxy.log.wait_for("Active slave disconnected").await;
    stranger.answer(&request, text_result("B")).await;
    assert_eq!(pending.finish().await.kind(), "outcome_unknown");
}

#[tokio::test]
async fn clients_that_cancel_or_leave_meanwhile_free_their_calls() {
    let proxy = Setup::proxy().env("LINK_GRACE", "600").start_proxy().await;
    let (link, _, pending) = called(&proxy, &Client::modern(proxy.http)).await;
    drop(link);
    proxy.log.wait_for("Active slave disconnected").await;
    assert!((in_flight(&proxy).await - 1.0).abs() < 0.5);
    drop(pending);
    wait::until("the call to be gone", async || (in_flight(&proxy).await == 0.0).then_some(())).await;
    let legacy = Client::legacy(proxy.http).await;
    let (link, _, mut pending) = called(&proxy, &legacy).await;
    drop(link);
    wait::until("the link to be known as lost", async || {
        (proxy.log.count("Active slave disconnected") > 1).then_some(())
    })
    .await;
    legacy.cancel(1).await;
    assert!(pending.finish().await.messages.is_empty(), "a cancelled request is not answered");
}

fn call(id: &Value, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

/// A slave whose backend is ready. The stand-in for the proxy answers pings only while it reads.
async fn fixture_slave(fixture: &Fixture, node: &NodeProxy, grace: &str) -> harness::relay::Slave {
    let setup = Setup::slave("one", node.address()).env("SHUTDOWN_GRACE", grace);
    let slave = fixture.serve(setup.env("LINK_PING_TIMEOUT_MS", "60000")).start_slave().await;
    slave.log.wait_for("backend ready").await;
    slave
}

async fn wait_until_lost(slave: &harness::relay::Slave) {
    slave.log.wait_for("[SLAVE] Connection to proxy closed, attempting to reconnect in ").await;
}

#[tokio::test]
async fn our_slave_s_answer_goes_out_on_the_next_link_and_its_call_ran_once() {
    let (fixture, node) = (Fixture::default(), NodeProxy::start(CODE).await);
    let slave = fixture_slave(&fixture, &node, "30").await;
    let mut link = node.accept().await.expect("accepted");
    for (id, gate) in [(json!(1), "before"), (json!("two"), "after")] {
        fixture.open_gate(gate, 0);
        link.send(&call(&id, "run", &run_args(gate, 1))).await;
        fixture.wait_for(gate, "start").await;
    }
    drop(link);
    wait_until_lost(&slave).await;
    fixture.open_gate("before", 9);
    fixture.wait_for("before", "end").await;
    let mut link = node.accept().await.expect("accepted again");
    let answer = link.receive().await.expect("the kept answer");
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(1), &json!("done before")));
    fixture.open_gate("after", 9);
    let answer = link.receive().await.expect("the answer of the running call");
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!("two"), &json!("done after"))
    );
    for gate in ["before", "after"] {
        assert_eq!(
            fixture.log(gate).iter().filter(|line| line.contains("start")).count(),
            1,
            "{gate} ran once"
        );
    }
}

#[tokio::test]
async fn an_answer_does_not_reach_a_later_client_whose_request_has_the_same_id() {
    let (fixture, node) = (Fixture::default(), NodeProxy::start(CODE).await);
    let slave = fixture_slave(&fixture, &node, "30").await;
    let mut link = node.accept().await.expect("accepted");
    for lose_the_link in [true, false] {
        let gate = format!("first-{lose_the_link}");
        fixture.open_gate(&gate, 0);
        link.send(&call(&json!(1), "run", &run_args(&gate, 1))).await;
        fixture.wait_for(&gate, "start").await;
        if lose_the_link {
            drop(link);
            wait_until_lost(&slave).await;
            link = node.accept().await.expect("accepted again");
        }
        link.send(&call(&json!(1), "run", &run_args("second", 0))).await;
        let answer = link.receive().await.expect("the later client's answer");
        assert_eq!(
            (&answer["id"], &answer["result"]["content"][0]["text"]),
            (&json!(1), &json!("done second"))
        );
        fixture.open_gate(&gate, 9);
        fixture.wait_for(&gate, "end").await;
        link.send(&call(&json!(1), "run", &run_args("third", 0))).await;
        let answer = link.receive().await.expect("an answer");
        assert_eq!(answer["result"]["content"][0]["text"], "done third");
    }
    slave.log.wait_for("The proxy gave a request the id of one that still runs").await;
}

#[tokio::test]
async fn a_request_that_our_slave_s_end_cuts_off_is_answered_with_an_error() {
    let (fixture, node) = (Fixture::default(), NodeProxy::start(CODE).await);
    let mut slave = fixture_slave(&fixture, &node, "1").await;
    let mut link = node.accept().await.expect("accepted");
    fixture.open_gate("endless", 0);
    link.send(&call(&json!(7), "run", &run_args("endless", 1))).await;
    fixture.wait_for("endless", "start").await;
    slave.signal(Signal::SIGTERM);
    let answer = link.receive().await.expect("an answer before the end");
    assert_eq!((&answer["id"], &answer["error"]["data"]["kind"]), (&json!(7), &json!("outcome_unknown")));
    assert!(link.receive().await.is_err(), "then the end");
    assert_eq!(slave.exit(wait::TIMEOUT).await.code(), Some(0));
}

#[tokio::test]
async fn a_slave_that_stops_while_its_link_is_broken_delivers_what_runs() {
    let (fixture, node) = (Fixture::default(), NodeProxy::start(CODE).await);
    let mut slave = fixture_slave(&fixture, &node, "600").await;
    let mut link = node.accept().await.expect("accepted");
    fixture.open_gate("last", 0);
    link.send(&call(&json!(7), "run", &run_args("last", 1))).await;
    fixture.wait_for("last", "start").await;
    drop(link);
    wait_until_lost(&slave).await;
    slave.signal(Signal::SIGTERM);
    let mut link = node.accept().await.expect("accepted again");
    fixture.open_gate("last", 9);
    let answer = link.receive().await.expect("the answer");
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!(7), &json!("done last")));
    assert!(link.receive().await.is_err());
    assert_eq!(slave.exit(wait::TIMEOUT).await.code(), Some(0));
}

#[tokio::test]
async fn a_slave_that_another_has_replaced_answers_nothing_of_before() {
    let (fixture, node) = (Fixture::default(), NodeProxy::start(CODE).await);
    let slave = fixture_slave(&fixture, &node, "30").await;
    let mut link = node.accept().await.expect("accepted");
    fixture.open_gate("before", 0);
    link.send(&call(&json!(1), "run", &run_args("before", 1))).await;
    fixture.wait_for("before", "start").await;
    link.close(4001).await;
    wait_until_lost(&slave).await;
    fixture.open_gate("before", 9);
    fixture.wait_for("before", "end").await;
    let mut link = node.accept().await.expect("accepted again");
    link.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" })).await;
    assert_eq!(link.receive().await.expect("an answer")["id"], 2);
}
