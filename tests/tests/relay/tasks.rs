//! Tasks of backends within one era: their ids find the slave and the backend from any proxy, and are of use to their client only.

mod lists;
mod restarts;
mod status;
mod updates;

use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::tasking::ID;
use harness::wait;
use serde_json::{Value, json};

const KEY: &str = "the-key-that-all-replicas-have-in-common";
const KEYS: &str = "one-key-of-the-tests,two-key-of-the-tests";

/// Waits until the proxy lists the tool. The key is for those that have keys.
async fn offers(proxy: &Proxy, tool: &str) {
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer one-key-of-the-tests");
    wait::until("the tool", async || client.tool_names().await.iter().any(|name| name == tool).then_some(()))
        .await;
}

/// A slave of these proxies, with a backend of this era that has tasks.
async fn slave(proxies: &[&Proxy], era: &str, name: &str) -> (Slave, Fixture) {
    slave_with(proxies, era, name, "1").await
}

/// As [`slave`], with a backend whose tasks are of this kind.
async fn slave_with(proxies: &[&Proxy], era: &str, name: &str, tasks: &str) -> (Slave, Fixture) {
    let fixture = Fixture::default();
    let urls: Vec<String> = proxies.iter().map(|proxy| format!("ws://{}", proxy.link)).collect();
    let setup = Setup::slave(name, proxies[0].link).env("PROXY_SERVER_URL", urls.join(","));
    let slave =
        fixture.serve_with(setup, &[("FIXTURE_ERA", era), ("FIXTURE_TASKS", tasks)]).start_slave().await;
    for proxy in proxies {
        wait::until("the slave to be ready", async || {
            Scrape::with_key(proxy.http, "one-key-of-the-tests").await.has_slave(name, "ready").then_some(())
        })
        .await;
        offers(proxy, "arguments").await;
    }
    (slave, fixture)
}

async fn client(proxy: &Proxy, era: &str, key: &str) -> Client {
    let new = match era {
        "modern" => Client::modern(proxy.http),
        _ => Client::uninitialized(proxy.http),
    };
    let mut client = new.with_header("authorization", &format!("Bearer {key}-key-of-the-tests"));
    if era == "legacy" {
        client.initialize().await.result();
    }
    client
}

/// A request with what its era needs for tasks.
fn request(method: &str, mut params: Value, era: &str) -> McpRequest {
    if era == "legacy" && method == "tools/call" {
        params["task"] = json!({ "ttl": 60000 });
    }
    let request = McpRequest::new(1, method, params);
    let able = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    if era == "modern" { request.meta("io.modelcontextprotocol/clientCapabilities", able) } else { request }
}

#[tokio::test]
async fn a_task_is_found_from_any_proxy_and_by_its_client_only() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("AUTH_BEARER_KEYS", KEYS);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    for era in ["legacy", "modern"] {
        let proxies = [&one, &two];
        let (alpha, beta) = (format!("{era}-alpha"), format!("{era}-beta"));
        let _slaves = [slave(&proxies, era, &alpha).await, slave(&proxies, era, &beta).await];
        let clients = [client(&one, era, "one").await, client(&two, era, "one").await];
        for round in 0..8 {
            let made =
                clients[round % 2].request(request("tools/call", json!({ "name": "arguments" }), era)).await;
            let task = if era == "legacy" { &made.result()["task"] } else { made.result() };
            assert_eq!(task["status"], "working", "{era}");
            let id = task["taskId"].as_str().unwrap();
            let about = async |client: &Client, method: &str| {
                client.request(request(method, json!({ "taskId": id }), era)).await
            };
            let got = about(&clients[(round / 2) % 2], "tasks/get").await;
            assert_eq!((&got.result()["taskId"], &got.result()["status"]), (&json!(id), &json!("completed")));
            about(&clients[1], "tasks/cancel").await.result();
            if era == "legacy" {
                let result = about(&clients[(round + 1) % 2], "tasks/result").await;
                assert!(result.text().starts_with(ID), "{}", result.text());
                assert_eq!(result.result()["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
            } else {
                about(&clients[0], "tasks/update").await.result();
            }
            let stranger = client(&one, era, "two").await;
            let refused = about(&stranger, "tasks/get").await;
            assert_eq!((refused.code(), refused.kind()), (-32602, "unknown_task"), "{era}");
        }
        for id in ["", "x", "mrt2.x", &format!("mr2.{:016x}.{:016x}.mrt2.a.1.b.dA.x", 1, 2)] {
            let refused = clients[0].request(request("tasks/get", json!({ "taskId": id }), era)).await;
            assert_eq!((refused.code(), refused.kind()), (-32602, "unknown_task"), "{era} {id}");
        }
    }
}

#[tokio::test]
async fn tasks_are_announced_where_a_backend_of_the_era_has_them() {
    let proxy = Setup::proxy().start_proxy().await;
    let _legacy = slave(&[&proxy], "legacy", "alpha").await;
    let mut client = Client::uninitialized(proxy.http);
    let introduced = client.initialize().await;
    assert!(introduced.result()["capabilities"]["tasks"]["requests"]["tools"]["call"].is_object());
    let modern = Client::modern(proxy.http);
    let discover = async || modern.request(McpRequest::new(1, "server/discover", json!({}))).await;
    assert!(discover().await.result()["capabilities"]["extensions"].is_null());
    // A modern client's call of a legacy backend is no task, and its result is there at once.
    let able = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let call =
        McpRequest::tool(2, "arguments", json!({})).meta("io.modelcontextprotocol/clientCapabilities", able);
    assert_eq!(modern.request(call).await.result()["resultType"], "complete");
}
