//! Parts of a catalog through real sockets.

use harness::client::Client;
use harness::rawslave::{RawSlave, definition, dial};
use harness::relay::{CODE, Setup};
use harness::wait;
use serde_json::{Value, json};

/// A part with these tools of a backend.
fn part(backend: &str, position: u32, tools: &[&str]) -> Value {
    let items: Vec<Value> = tools.iter().map(|tool| definition(tool)).collect();
    json!({ "backend": backend, "position": position, "lists": { "tools": { "items": items } } })
}

/// A linked slave that has sent nothing yet.
async fn linked(proxy: &harness::relay::Proxy, name: &str) -> RawSlave {
    let mut slave = dial(proxy.link).await;
    slave.authenticate(CODE, name).await;
    slave
}

fn complete() -> Value {
    json!({ "slave": { "complete": true } })
}

#[tokio::test]
async fn each_part_replaces_what_it_names_and_nothing_else() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = linked(&proxy, "parts").await;
    slave.part(&part("b", 1, &["b_one", "b_two"])).await;
    slave.part(&part("a", 0, &["a_one"])).await;
    slave.part(&complete()).await;
    proxy.offers("a_one").await;
    proxy.offers("b_two").await;
    slave.part(&part("b", 1, &["b_three"])).await;
    proxy.offers("b_three").await;
    let names = Client::modern(proxy.http).tool_names().await;
    assert!(names.contains(&"a_one".into()) && !names.contains(&"b_one".into()), "{names:?}");
    slave.part(&json!({ "backend": "b", "lists": { "tools": null } })).await;
    proxy.withdraws("b_three").await;
    slave.part(&part("b", 1, &["b_four"])).await;
    proxy.offers("b_four").await;
    slave.part(&json!({ "backend": "a", "gone": true })).await;
    proxy.withdraws("a_one").await;
    assert_eq!(Client::modern(proxy.http).tool_names().await, ["b_four"]);
}

#[tokio::test]
async fn a_catalog_that_is_not_complete_is_not_taken_for_the_whole_one() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut slave = linked(&proxy, "slow").await;
    slave.part(&part("quick", 0, &["quick_tool"])).await;
    slave.part(&json!({ "slave": { "complete": false } })).await;
    proxy.offers("quick_tool").await;
    let client = Client::modern(proxy.http);
    // The call waits for the rest of the catalog, which has no such tool.
    let rest = complete();
    let (answer, ()) = tokio::join!(client.call("late_tool", json!({})), slave.part(&rest));
    assert_eq!(answer.kind(), "unknown_tool");
    slave.part(&part("late", 1, &["late_tool"])).await;
    proxy.offers("late_tool").await;
}

#[tokio::test]
async fn parts_that_are_none_end_the_link() {
    let proxy = Setup::proxy().start_proxy().await;
    for bad in [
        json!({ "tools": [] }),
        json!({ "backend": "a", "slave": {} }),
        json!({ "backend": "a\n" }),
        json!({ "backend": "a", "lists": { "tools": { "items": [{ "name": "" }] } } }),
        json!({ "backend": "a", "lists": { "tools": { "items": [{ "name": "t" }, { "name": "t" }] } } }),
    ] {
        let mut slave = linked(&proxy, "bad").await;
        slave.part(&bad).await;
        assert_eq!(slave.close_code().await, Some(1002), "{bad}");
    }
    let mut slave = linked(&proxy, "many").await;
    for n in 0..257 {
        slave.part(&json!({ "backend": format!("b{n}") })).await;
    }
    assert_eq!(slave.close_code().await, Some(1002), "257 backends");
}

#[tokio::test]
async fn a_lost_slave_without_calls_is_forgotten_at_once() {
    let proxy = Setup::proxy().env("LINK_GRACE", "3600").start_proxy().await;
    let slave = RawSlave::link(proxy.link, CODE, "idle", &["idle_tool"]).await;
    proxy.offers("idle_tool").await;
    let mut busy = RawSlave::link(proxy.link, CODE, "busy", &["busy_tool"]).await;
    proxy.offers("busy_tool").await;
    let client = Client::modern(proxy.http);
    let _call = client.start(harness::client::McpRequest::tool(1, "busy_tool", json!({}))).await;
    busy.receive_open().await;
    drop((slave, busy));
    wait::until("the idle slave to be forgotten, and the busy one to be waited for", async || {
        let status = harness::http::get(proxy.http, "/api/v1/status").await.1;
        let status: Value = serde_json::from_str(&status).ok()?;
        let names: Vec<&str> =
            status["slaves"]["list"].as_array()?.iter().filter_map(|slave| slave["name"].as_str()).collect();
        (names == ["busy"]).then_some(())
    })
    .await;
}
