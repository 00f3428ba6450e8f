//! `notifications/tasks` (the extension `io.modelcontextprotocol/tasks`): a client that names its tasks in `subscriptions/listen` is told of
//! them, at any proxy, and of no others.

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::Fixture;
use harness::relay::{Proxy, Setup};
use harness::tasking::ID;
use harness::wait;
use serde_json::{Value, json};

use super::{KEY, KEYS, client, request, slave};

/// Has a tool make a task; returns its id as the client knows it, and as the backend does.
async fn make(client: &Client, fixture: &Fixture) -> (String, String) {
    let made = client.request(request("tools/call", json!({ "name": "arguments" }), "modern")).await;
    let id = made.result()["taskId"].as_str().unwrap().to_owned();
    (id, fixture.log("tasks").last().expect("the fixture notes each task").clone())
}

/// Opens a stream for these tasks; returns it with the ids that are acknowledged.
async fn listen(client: &Client, id: &str, tasks: &[&str]) -> (Pending, Vec<Value>) {
    let filter = json!({ "notifications": { "taskIds": tasks } });
    let able = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let listen = McpRequest::new(id, "subscriptions/listen", filter);
    let mut stream = client.start(listen.meta("io.modelcontextprotocol/clientCapabilities", able)).await;
    let first = stream.next().await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
    let acknowledged = first["params"]["notifications"]["taskIds"].as_array().cloned();
    (stream, acknowledged.unwrap_or_default())
}

/// What a backend says of a task.
fn line(own: &str, more: &str) -> String {
    let own = Value::from(own);
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{{"taskId":{own},"status":"working","_meta":{{"io.modelcontextprotocol/subscriptionId":0}},"ttlMs":null{more}}}}}"#
    )
}

/// Has the backend write these lines, in a call that has nothing to do with tasks.
async fn write(client: &Client, lines: &[&str]) {
    let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","content":[]}}"#;
    let lines: Vec<&str> = lines.iter().copied().chain([end]).collect();
    let messages = client.call("raw", json!({ "lines": lines })).await.messages;
    assert_eq!(messages.len(), 1, "nothing of it on the stream of another call: {messages:?}");
}

async fn two_proxies() -> (Proxy, Proxy) {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("AUTH_BEARER_KEYS", KEYS);
    (setup.start_proxy().await, setup.start_proxy().await)
}

#[tokio::test]
async fn a_client_is_told_of_the_tasks_that_it_names_at_any_proxy_and_of_its_own_alone() {
    let (one, two) = two_proxies().await;
    let (_slave, fixture) = slave(&[&one, &two], "modern", "alpha").await;
    let (_other_slave, other_fixture) = slave(&[&one, &two], "modern", "beta").await;
    let (mine, yours) = (client(&one, "modern", "one").await, client(&two, "modern", "two").await);
    // Calls go to either slave.
    let (id, own, fixture) = {
        let before = fixture.log("tasks").len();
        let made = mine.request(request("tools/call", json!({ "name": "arguments" }), "modern")).await;
        let id = made.result()["taskId"].as_str().unwrap().to_owned();
        let fixture = if fixture.log("tasks").len() > before { fixture } else { other_fixture };
        let own = fixture.log("tasks").last().unwrap().clone();
        (id, own, fixture)
    };
    let invented = format!("{}x", &id[..id.len() - 1]);
    let there = mine.at(two.http);
    let (mut stream, acknowledged) = listen(&there, "s", &[&id, &invented, "x", &id]).await;
    assert_eq!(acknowledged, [json!(id)]);
    fixture.wait_for("process", &format!("listen for tasks {}", json!([own]))).await;
    let (_strangers, acknowledged) = listen(&yours, "y", &[&id]).await;
    assert!(acknowledged.is_empty(), "another client's: {acknowledged:?}");
    // The slave of the task writes: a call may reach the other one, which has none of this id to tell of.
    let news = line(&own, r#","n":9007199254740993,"result":{"content":[],"deep":[1.50]}"#);
    let next = wait::until("the update", async || {
        write(&mine, &[&line("another", ""), &news]).await;
        tokio::time::timeout(std::time::Duration::from_millis(300), stream.next()).await.ok().flatten()
    })
    .await;
    let params = json!({
        "taskId": id, "status": "working", "_meta": { "io.modelcontextprotocol/subscriptionId": "s" }, "ttlMs": null,
        "n": 9_007_199_254_740_993_u64, "result": { "content": [], "deep": [1.5] }
    });
    assert_eq!(next, json!({ "jsonrpc": "2.0", "method": "notifications/tasks", "params": params }));
    // When the client has left, the backend is asked no more.
    drop(stream);
    fixture.wait_for("cancelled", "cancelled by the client").await;
}

#[tokio::test]
async fn the_slave_s_own_port_tells_of_tasks_as_a_proxy_does() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", KEYS).start_proxy().await;
    let (slave, fixture) = slave(&[&proxy], "modern", "alpha").await;
    let mine = Client::modern(slave.http);
    let (id, own) = make(&mine, &fixture).await;
    let (mut stream, acknowledged) = listen(&mine, "s", &[&id]).await;
    assert_eq!(acknowledged, [json!(id)]);
    write(&mine, &[&line(&own, "")]).await;
    assert_eq!(stream.next().await.unwrap()["params"]["taskId"], id);
}

#[tokio::test]
async fn what_a_backend_does_not_tell_of_is_not_acknowledged() {
    let (one, two) = two_proxies().await;
    let (_slave, fixture) = slave(&[&one, &two], "modern", "alpha").await;
    let mine = client(&one, "modern", "one").await;
    let (id, own) = make(&mine, &fixture).await;
    assert!(own.starts_with(ID));
    let filter = json!({ "notifications": { "taskIds": [id] } });
    let refused = mine.request(McpRequest::new(3, "subscriptions/listen", filter)).await;
    assert_eq!((refused.code(), refused.status), (-32021, 400), "without the extension");
    let required = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    assert_eq!(refused.error()["data"]["requiredCapabilities"], required);
    let (mut stream, acknowledged) = listen(&mine, "a", &[&id]).await;
    assert_eq!(acknowledged, [json!(id)]);
    // Two streams of one task are told both.
    let (mut second, acknowledged) = listen(&mine.at(two.http), "b", &[&id]).await;
    assert_eq!(acknowledged, [json!(id)]);
    write(&mine, &[&line(&own, "")]).await;
    for stream in [&mut stream, &mut second] {
        assert_eq!(stream.next().await.unwrap()["params"]["taskId"], id);
    }
    // The ids of a process end with it, whatever its successor numbers alike.
    mine.call("die", json!({})).await;
    wait::until("the next process", async || (fixture.pids().len() > 1).then_some(())).await;
    super::offers(&one, "arguments").await;
    let mut late = 0;
    wait::until("its answer", async || {
        late += 1;
        let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","content":[]}}"#;
        let answer = mine.call("raw", json!({ "lines": [line(&own, ""), end] })).await;
        answer.messages.iter().any(|message| message.get("result").is_some()).then_some(())
    })
    .await;
    let told = tokio::time::timeout(std::time::Duration::from_millis(500), stream.next()).await;
    assert!(told.is_err(), "{told:?} after {late} calls");
}
