//! Notifications of backends that no specification of ours names: they reach the client whose call is in flight, and nobody else.

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::relay::Setup;
use harness::wait;
use serde_json::{Value, json};

/// As a backend writes it: nothing of it may change.
const COMPLETE: &str = r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e-1","n":1e400}}"#;

/// Arguments with which the fixture writes these lines and then answers.
fn lines(lines: &[&str]) -> Value {
    let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],"resultType":"complete"}}"#;
    json!({ "lines": lines.iter().copied().chain([end]).collect::<Vec<_>>() })
}

fn notifications(answer: &Answer) -> Vec<&str> {
    assert!(answer.response().get("result").is_some(), "{answer:?}");
    answer.messages.iter().filter_map(|message| message["method"].as_str()).collect()
}

#[tokio::test]
async fn notifications_of_extensions_reach_the_client_of_the_call_as_they_stand() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("raw").await;
    let own = r#"{"jsonrpc":"2.0","method":"notifications/com.example/changed"}"#;
    // These have ways of their own, or none.
    let others = [
        r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/a b"}"#,
    ];
    for address in [proxy.http, slave.http] {
        let client = Client::legacy(address).await;
        let call = lines(&[others[0], COMPLETE, others[1], own, others[2]]);
        let mut pending = client.start(McpRequest::tool(1, "raw", call)).await;
        let first = pending.next_event().await.unwrap();
        let first = if first.data.is_empty() { pending.next_event().await.unwrap() } else { first };
        assert_eq!(first.data, COMPLETE, "{address}");
        assert_eq!(
            notifications(&pending.finish().await),
            ["notifications/com.example/changed"],
            "{address}"
        );
    }
    // What a legacy backend means by it, a modern client cannot know.
    let modern = Client::modern(proxy.http);
    let answer = modern.request(McpRequest::tool(1, "raw", lines(&[COMPLETE, own]))).await;
    assert_eq!(notifications(&answer), [""; 0]);
}

#[tokio::test]
async fn a_notification_that_may_be_another_client_s_reaches_nobody() {
    let fixture = Fixture::default();
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS", "key-of-the-one,key-of-the-other");
    let proxy = setup.start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    let with_key = |client: Client, key: &str| client.with_header("authorization", &format!("Bearer {key}"));
    let mut one = with_key(Client::uninitialized(proxy.http), "key-of-the-one");
    one.initialize().await;
    let mut other = with_key(Client::uninitialized(proxy.http), "key-of-the-other");
    other.initialize().await;
    wait::until("the fixture's tools", async || {
        one.tool_names().await.iter().any(|name| name == "raw").then_some(())
    })
    .await;
    fixture.open_gate("held", 0);
    let mut held = one.start(McpRequest::tool(1, "run", harness::fixture::run_args("held", 0))).await;
    fixture.wait_for("held", "start").await;
    let answer = other.request(McpRequest::tool(1, "raw", lines(&[COMPLETE]))).await;
    assert_eq!(notifications(&answer), [""; 0]);
    fixture.open_gate("held", 1);
    assert_eq!(notifications(&held.finish().await), [""; 0]);
}
