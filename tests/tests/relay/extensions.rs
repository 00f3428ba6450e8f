//! Notifications of backends that no specification of ours names: they reach the client whose call is in flight, and nobody else.

use harness::answer::Answer;
use harness::client::{Client, McpRequest};
use harness::fixture::Fixture;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
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

/// A slave whose only backend is the fixture with processes of this kind.
async fn slave_of(proxies: &[&Proxy], fixture: &Fixture, sessions: &str) -> Slave {
    let mut entry = fixture.entry(&[]);
    entry["sessions"] = sessions.into();
    let path = fixture.write_backends(&json!({ "own": entry }));
    let urls: Vec<String> = proxies.iter().map(|proxy| format!("ws://{}", proxy.link)).collect();
    let setup = Setup::slave("one", proxies[0].link).env("PROXY_SERVER_URL", urls.join(","));
    let setup = setup.env("DEMO_TOOLS", "0").env("SLAVE_BACKENDS", path.to_str().unwrap());
    setup.start_slave().await
}

/// Has the process of this client answer a call and then write a line, when no call is in flight any more.
async fn write_later(client: &Client, line: &str) {
    let end = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#;
    client.call("raw", json!({ "lines": [end, line] })).await.result();
}

/// Has the process write a line until the stream gets one; returns it as it stands.
async fn first_told(client: &Client, stream: &mut harness::client::Pending, line: &str) -> String {
    // The slave learns of a stream a little after its client: what nobody can be told is dropped.
    wait::until("a notification on the stream", async || {
        write_later(client, line).await;
        loop {
            let next = tokio::time::timeout(std::time::Duration::from_millis(300), stream.next_event()).await;
            let event = next.ok()?.expect("an event");
            if !event.data.is_empty() {
                return Some(event.data);
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_a_process_of_a_session_says_by_itself_reaches_the_stream_of_that_session() {
    let setup = Setup::proxy().env("SESSION_KEY", "the-key-that-all-replicas-have-in-common");
    let setup = setup.env("AUTH_BEARER_KEYS", "key-of-the-one,key-of-the-other");
    let (one, two) = (setup.start_proxy().await, setup.start_proxy().await);
    for sessions in ["per-session", "per-client"] {
        let fixture = Fixture::default();
        let _slave = slave_of(&[&one, &two], &fixture, sessions).await;
        let start = async |key: &str| {
            let mut client =
                Client::uninitialized(one.http).with_header("authorization", &format!("Bearer {key}"));
            client.initialize().await.result();
            client
        };
        let (mine, yours) = (start("key-of-the-one").await, start("key-of-the-other").await);
        for proxy in [&one, &two] {
            wait::until("the fixture's tools", async || {
                mine.at(proxy.http).tool_names().await.iter().any(|name| name == "raw").then_some(())
            })
            .await;
        }
        let (mut my_stream, mut your_stream) =
            (mine.at(two.http).open_stream().await, yours.open_stream().await);
        assert_eq!(first_told(&mine, &mut my_stream, COMPLETE).await, COMPLETE, "{sessions}");
        let own = r#"{"jsonrpc":"2.0","method":"notifications/com.example/changed"}"#;
        assert_eq!(
            first_told(&yours, &mut your_stream, own).await,
            own,
            "{sessions}: the first that it is told"
        );
    }
}

#[tokio::test]
async fn what_a_shared_process_says_by_itself_is_dropped() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let slave = slave_of(&[&proxy], &fixture, "shared").await;
    proxy.offers("raw").await;
    let client = Client::legacy(proxy.http).await;
    let _stream = client.open_stream().await;
    write_later(&client, COMPLETE).await;
    wait::until("the drop to be counted", async || {
        let scrape = Scrape::of(slave.http).await;
        let dropped =
            scrape.sum("mcp_relay_slave_backend_messages_dropped_total", &["reason=\"unroutable\""]);
        (dropped > 0.5).then_some(())
    })
    .await;
}
