//! `notifications/tasks/status` (2025-11-25): they reach the client that made the task, and no other.

use harness::client::{Client, Pending};
use harness::fixture::Fixture;
use harness::relay::Setup;
use harness::wait;
use serde_json::{Value, json};

use super::{KEY, KEYS, client, request, slave_with};

/// Makes a task; returns its id as the client knows it, and as the backend does.
async fn make(client: &Client, fixture: &Fixture) -> (String, String) {
    let made = client.request(request("tools/call", json!({ "name": "arguments" }), "legacy")).await;
    let id = made.result()["task"]["taskId"].as_str().unwrap().to_owned();
    let log = fixture.log("tasks");
    (id, log.last().expect("the fixture notes each task").clone())
}

/// The status of a task as a backend writes it.
fn status(own: &str, text: &str) -> String {
    let params = json!({ "taskId": own, "status": "working", "statusMessage": text, "ttl": null });
    json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params }).to_string()
}

/// Has the backend write these lines, in a call of this client that has nothing to do with tasks.
async fn write(client: &Client, lines: &[&str]) -> Vec<Value> {
    let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#;
    let lines: Vec<&str> = lines.iter().copied().chain([end]).collect();
    client.call("raw", json!({ "lines": lines })).await.messages
}

/// The next message of a stream.
async fn told(stream: &mut Pending) -> Value {
    stream.next().await.expect("a message")
}

#[tokio::test]
async fn the_status_of_a_task_reaches_the_stream_of_its_client_alone() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("AUTH_BEARER_KEYS", KEYS);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let (_slave, fixture) = slave_with(&[&one, &two], "legacy", "alpha", "1").await;
    let (mine, again) = (client(&one, "legacy", "one").await, client(&one, "legacy", "one").await);
    let yours = client(&two, "legacy", "two").await;
    let (id, own) = make(&mine, &fixture).await;
    let (other_id, other_own) = make(&yours, &fixture).await;
    // The stream is at the other proxy.
    let mut stream = mine.at(two.http).open_stream().await;
    let mut others = [again.open_stream().await, yours.open_stream().await];
    // The slave learns of a stream a little after its client: a status that nobody can be told is dropped.
    let first = wait::until("the first status", async || {
        let messages = write(&yours, &[&status(&own, "first")]).await;
        assert_eq!(messages.len(), 1, "nothing of it on the stream of another's call: {messages:?}");
        let next = tokio::time::timeout(std::time::Duration::from_millis(300), told(&mut stream)).await;
        next.ok()
    })
    .await;
    let params = json!({ "taskId": id, "status": "working", "statusMessage": "first", "ttl": null });
    assert_eq!(first, json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params }));
    let foreign = status("made elsewhere", "nobody's");
    write(&yours, &[&foreign, &status(&own, "second"), &status(&other_own, "yours")]).await;
    loop {
        let next = told(&mut stream).await;
        if next["params"]["statusMessage"] == "second" {
            break;
        }
        assert_eq!(next["params"]["statusMessage"], "first", "{next}");
    }
    let next = told(&mut others[1]).await;
    assert_eq!(
        (&next["params"]["taskId"], &next["params"]["statusMessage"]),
        (&json!(other_id), &json!("yours"))
    );
    // The other session of the same client has a stream too, and got none of it.
    write(&yours, &[&status(&own, "third")]).await;
    assert_eq!(told(&mut stream).await["params"]["statusMessage"], "third");
    let [mut second, _] = others;
    let (its_id, its_own) = make(&again, &fixture).await;
    write(&yours, &[&status(&its_own, "its own")]).await;
    assert_eq!(told(&mut second).await["params"]["taskId"], its_id, "the first that it is told");
}

#[tokio::test]
async fn a_call_about_the_task_gets_its_status_on_its_own_stream() {
    let setup = Setup::proxy().env("SESSION_KEY", KEY).env("AUTH_BEARER_KEYS", KEYS);
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    let (slave, fixture) = slave_with(&[&one, &two], "legacy", "alpha", "held").await;
    let local = Client::legacy(slave.http).await;
    for (mine, at) in [(client(&one, "legacy", "one").await, Some(two.http)), (local, None)] {
        let yours = client(&two, "legacy", "two").await;
        let (id, own) = make(&mine, &fixture).await;
        let (_, other) = make(&yours, &fixture).await;
        let asked = fixture.log("result").len();
        fixture.open_gate("result", 0);
        let asking = at.map_or_else(|| mine.at(slave.http), |at| mine.at(at));
        let mut result = asking.start(request("tasks/result", json!({ "taskId": id }), "legacy")).await;
        wait::until("the backend to be asked", async || (fixture.log("result").len() > asked).then_some(()))
            .await;
        let ended = write(&yours, &[&status(&other, "yours"), &status(&own, "on the way")]).await;
        assert_eq!(ended.len(), 1, "{ended:?}");
        let first = told(&mut result).await;
        assert_eq!(first["method"], "notifications/tasks/status");
        assert_eq!(
            (&first["params"]["taskId"], &first["params"]["statusMessage"]),
            (&json!(id), &json!("on the way"))
        );
        fixture.open_gate("result", 1);
        assert!(result.finish().await.result()["content"].is_array());
    }
}
