//! The drain of a slave by an operator: no new calls at this proxy until that is undone, and running calls end.

use harness::client::{Client, McpRequest};
use harness::fault::FaultProxy;
use harness::http::{Exchange, request};
use harness::relay::{Proxy, Setup, sleep_args};
use harness::wait;
use hyper::Method;
use serde_json::{Value, json};

use super::Files;
use crate::audit::{key_id, line};

const POLICY: &str = "\
operators: { api: { key: [ops, dev] }, metrics: { key: ops }, operate: { key: ops } }
allow: [{ who: anyone }]
";

/// Status and document of a request of the operator with this key.
async fn ask(proxy: &Proxy, key: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let headers = [
        ("authorization".to_owned(), format!("Bearer key-of-{key}")),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-mcp-relay-command".to_owned(), "1".to_owned()),
    ];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut exchange = Exchange::start(proxy.http, request(method, path, &headers, body)).await;
    exchange.head().await;
    let status = exchange.status.as_u16();
    let text = exchange.rest().await;
    (status, serde_json::from_slice(&text).unwrap_or_else(|_| String::from_utf8(text).unwrap().into()))
}

async fn read(proxy: &Proxy, path: &str) -> Value {
    ask(proxy, "ops", Method::GET, path, &Value::Null).await.1
}

async fn slave(proxy: &Proxy, name: &str) -> Value {
    let found = read(proxy, "/api/v1/slaves").await;
    found["list"].as_array().unwrap().iter().find(|slave| slave["name"] == name).cloned().unwrap_or_default()
}

async fn drain(proxy: &Proxy, name: &str, draining: bool) {
    let id = slave(proxy, name).await["id"].clone();
    let order = json!({ "id": id, "draining": draining });
    let (status, answer) = ask(proxy, "ops", Method::POST, "/api/v1/slaves/drain", &order).await;
    assert_eq!(
        (status, &answer["name"], &answer["draining"]),
        (200, &json!(name), &json!(draining)),
        "{answer}"
    );
}

fn client(proxy: &Proxy) -> Client {
    super::client(proxy, "guest")
}

/// The slaves that ran the last calls of a tool, the newest first.
async fn last_ran(proxy: &Proxy, tool: &str, count: usize) -> Vec<String> {
    let calls = read(proxy, "/api/v1/calls").await;
    let calls = calls["recent"].as_array().unwrap().iter().filter(|call| call["tool"] == tool).take(count);
    calls.map(|call| call["slave"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_drained_slave_gets_no_new_calls_until_that_is_undone() {
    let files = Files::new(POLICY);
    let stream = files.path("audit.jsonl");
    let proxy =
        files.proxy().env("UI", "full").env("AUDIT_LOG", stream.to_str().unwrap()).start_proxy().await;
    let _berlin = Setup::slave("berlin", proxy.link).start_slave().await;
    let client = client(&proxy);
    client.lists(&["echo", "fail", "payload", "sleep"]).await;
    let mut running = client.start(McpRequest::tool(1, "sleep", sleep_args(2.0, 10)).progress(1)).await;
    running.next().await.unwrap();
    let _lisbon = Setup::slave("lisbon", proxy.link).start_slave().await;
    // Accepted is not enough: its catalog comes behind that.
    wait::until("lisbon takes calls", async || {
        (slave(&proxy, "lisbon").await["state"] == "ready").then_some(())
    })
    .await;
    drain(&proxy, "berlin", true).await;
    let found = slave(&proxy, "berlin").await;
    assert_eq!((&found["state"], &found["drainedByOperator"]), (&json!("draining"), &json!(true)), "{found}");
    assert!(found["reason"].as_str().unwrap().contains("an operator drains it"), "{found}");
    assert_eq!(slave(&proxy, "lisbon").await["drainedByOperator"], false);
    let metrics = read(&proxy, "/metrics").await;
    let series = "mcp_relay_slave_state{slave=\"berlin\",state=\"draining\"} 1";
    assert!(metrics.as_str().unwrap().contains(series), "{metrics}");
    for _ in 0..20 {
        client.call("echo", json!({ "text": "x" })).await.result();
    }
    assert_eq!(last_ran(&proxy, "echo", 20).await, vec!["lisbon"; 20]);
    assert!(running.finish().await.result()["isError"].is_null(), "the running call ends as it would have");
    assert_eq!(last_ran(&proxy, "sleep", 1).await, ["berlin"]);
    let told = line(&stream, "slave_drain", json!({ "slave": "berlin", "draining": true })).await;
    assert_eq!(told["operator_key_id"], key_id("key-of-ops")[..32], "{told}");
    drain(&proxy, "berlin", false).await;
    assert_eq!(slave(&proxy, "berlin").await["state"], "ready");
    line(&stream, "slave_drain", json!({ "slave": "berlin", "draining": false })).await;
    drain(&proxy, "lisbon", true).await;
    for _ in 0..5 {
        client.call("echo", json!({ "text": "x" })).await.result();
    }
    assert_eq!(last_ran(&proxy, "echo", 5).await, vec!["berlin"; 5]);
    drain(&proxy, "berlin", true).await;
    let refused = client.call("echo", json!({ "text": "x" })).await;
    assert_eq!(refused.kind(), "draining");
    assert_eq!(refused.error()["message"], "All slaves are draining: an operator drains them at this proxy");
}

#[tokio::test]
async fn a_drained_slave_stays_so_when_its_link_comes_back_and_a_new_process_does_not() {
    let files = Files::new(POLICY);
    // Without a grace, the proxy forgets a slave as soon as its link is down.
    let proxy = files.proxy().quick_pings().env("UI", "full").env("LINK_GRACE", "0").start_proxy().await;
    let fault = FaultProxy::start(proxy.link);
    let setup = Setup::slave("berlin", fault.address).env("RECONNECT_MAX", "0.2").quick_pings();
    let process = setup.start_slave().await;
    proxy.accepted(1).await;
    drain(&proxy, "berlin", true).await;
    let before = slave(&proxy, "berlin").await["id"].clone();
    fault.take_down();
    wait::until("no slave", async || slave(&proxy, "berlin").await.is_null().then_some(())).await;
    fault.refuse(false);
    let again = wait::until("the slave", async || {
        Some(slave(&proxy, "berlin").await).filter(|found| !found.is_null())
    });
    let again = again.await;
    assert_ne!(again["id"], before, "the proxy had forgotten it");
    assert_eq!((&again["state"], &again["drainedByOperator"]), (&json!("draining"), &json!(true)), "{again}");
    drop(process);
    wait::until("no slave", async || slave(&proxy, "berlin").await.is_null().then_some(())).await;
    let _process = setup.start_slave().await;
    wait::until("a ready slave", async || (slave(&proxy, "berlin").await["state"] == "ready").then_some(()))
        .await;
    client(&proxy).call("echo", json!({ "text": "x" })).await.result();
}

#[tokio::test]
async fn the_order_needs_the_role_and_a_known_slave() {
    let files = Files::new(POLICY);
    let proxy = files.proxy().env("UI", "full").start_proxy().await;
    let _slave = Setup::slave("berlin", proxy.link).start_slave().await;
    proxy.accepted(1).await;
    let id = slave(&proxy, "berlin").await["id"].clone();
    let path = "/api/v1/slaves/drain";
    for (key, order, status, text) in [
        ("dev", json!({ "id": id, "draining": true }), 403, "the role operate"),
        ("guest", json!({ "id": id, "draining": true }), 403, "the role operate"),
        ("ops", json!({ "id": "0000", "draining": true }), 400, "no slave of this id"),
        ("ops", json!({ "id": id }), 400, "draining"),
        ("ops", json!({ "id": id, "draining": true, "more": 1 }), 400, "unknown field"),
    ] {
        let (found, answer) = ask(&proxy, key, Method::POST, path, &order).await;
        assert_eq!(found, status, "{key} {order}: {answer}");
        assert!(answer.to_string().contains(text), "{answer}");
    }
    assert_eq!(slave(&proxy, "berlin").await["state"], "ready");
    let read_only = files.proxy().env("UI", "1").start_proxy().await;
    let (status, _) =
        ask(&read_only, "ops", Method::POST, path, &json!({ "id": id, "draining": true })).await;
    assert_eq!(status, 404);
}
