//! `subscriptions/listen` of 2026-07-28.

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::Fixture;
use harness::metrics::Scrape;
use harness::relay::Setup;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{noted, proxy_and_slave, slave, touch};

const ID: &str = "io.modelcontextprotocol/subscriptionId";

async fn listen(client: &Client, filter: Value) -> Pending {
    client.start(McpRequest::new("sub-1", "subscriptions/listen", json!({ "notifications": filter }))).await
}

/// The next message, which carries the subscription's id: its method, or `result`, and its parameters or result without the id.
async fn told(stream: &mut Pending) -> (String, Value) {
    let mut message = stream.next().await.expect("a message");
    let method = message["method"].as_str().unwrap_or("result").to_owned();
    let mut content = message[if method == "result" { "result" } else { "params" }].take();
    assert_eq!(content["_meta"], json!({ ID: "sub-1" }), "{method} {content}");
    content.as_object_mut().unwrap().remove("_meta");
    (method, content)
}

async fn acknowledged(stream: &mut Pending) -> Value {
    let (method, mut params) = told(stream).await;
    assert_eq!(method, "notifications/subscriptions/acknowledged");
    params["notifications"].take()
}

async fn updated(stream: &mut Pending) -> Value {
    let (method, params) = told(stream).await;
    assert_eq!(method, "notifications/resources/updated");
    params
}

fn all_of(uris: &[&str]) -> Value {
    json!({
        "toolsListChanged": true,
        "promptsListChanged": true,
        "resourcesListChanged": true,
        "resourceSubscriptions": uris,
    })
}

#[tokio::test]
async fn a_stream_is_acknowledged_first_and_tells_what_was_asked_for_and_nothing_else() {
    for era in ["legacy", "modern"] {
        let fixture = Fixture::default();
        let (proxy, slave) = proxy_and_slave(&fixture, era).await;
        for address in [proxy.http, slave.http] {
            let client = Client::modern(address);
            let mut all = listen(&client, all_of(&["res:1"])).await;
            let mut little = listen(&client, json!({ "resourceSubscriptions": ["res:2"] })).await;
            assert_eq!(acknowledged(&mut all).await, all_of(&["res:1"]), "{era}");
            assert_eq!(all.exchange.header("content-type"), "text/event-stream");
            assert_eq!(acknowledged(&mut little).await, json!({ "resourceSubscriptions": ["res:2"] }));
            touch(&client, "res:1").await;
            assert_eq!(updated(&mut all).await, json!({ "uri": "res:1", "title": "kept" }));
            client.call("grow", json!({ "list": "tools" })).await.result();
            assert_eq!(told(&mut all).await.0, "notifications/tools/list_changed");
            touch(&client, "res:2").await;
            assert_eq!(updated(&mut little).await["uri"], "res:2", "not the list, not the other resource");
            touch(&client, "res:1").await;
            assert_eq!(updated(&mut all).await["uri"], "res:1", "not the other resource");
        }
    }
}

#[tokio::test]
async fn what_nobody_can_tell_is_not_acknowledged() {
    let fixture = Fixture::default();
    let (proxy, _slave) = proxy_and_slave(&fixture, "legacy").await;
    let client = Client::modern(proxy.http);
    let mut stream = listen(&client, json!({ "resourceSubscriptions": ["res:refused", "res:1"] })).await;
    assert_eq!(acknowledged(&mut stream).await, json!({ "resourceSubscriptions": ["res:1"] }));
    let bare = Setup::proxy().start_proxy().await;
    let mut stream = listen(&Client::modern(bare.http), all_of(&["res:1"])).await;
    assert_eq!(acknowledged(&mut stream).await, json!({ "toolsListChanged": true }), "no slave");
    for filter in [json!(null), json!([]), json!({ "toolsListChanged": "yes" })] {
        let refused = listen(&client, filter).await.finish().await;
        assert_eq!((refused.status, refused.kind()), (400, "invalid_params"), "{:?}", refused.messages);
    }
}

#[tokio::test]
async fn a_backend_is_asked_once_for_all_clients_and_no_more_when_the_last_has_left() {
    let fixture = Fixture::default();
    let (proxy, slave) = proxy_and_slave(&fixture, "legacy").await;
    let filter = json!({ "resourceSubscriptions": ["res:1"] });
    let mut streams = Vec::new();
    for address in [proxy.http, slave.http, proxy.http] {
        let mut stream = listen(&Client::modern(address), filter.clone()).await;
        acknowledged(&mut stream).await;
        streams.push(stream);
    }
    touch(&Client::modern(proxy.http), "res:1").await;
    for stream in &mut streams {
        updated(stream).await;
    }
    assert!(!fixture.log("process").contains(&"unsubscribe res:1".to_owned()));
    drop(streams);
    noted(&fixture, "unsubscribe res:1", 1).await;
    assert_eq!(fixture.log("process").iter().filter(|line| *line == "subscribe res:1").count(), 1);
}

#[tokio::test]
async fn an_open_stream_outlives_the_backend_and_the_slave() {
    let fixture = Fixture::default();
    let (proxy, mut first) = proxy_and_slave(&fixture, "legacy").await;
    let client = Client::modern(proxy.http);
    let mut stream = listen(&client, json!({ "resourceSubscriptions": ["res:1"] })).await;
    acknowledged(&mut stream).await;
    let _ = client.call("die", json!({})).await;
    assert_eq!(updated(&mut stream).await, json!({ "uri": "res:1" }), "it may have changed meanwhile");
    noted(&fixture, "subscribe res:1", 2).await;
    touch(&client, "res:1").await;
    assert_eq!(updated(&mut stream).await["title"], "kept");
    first.signal(Signal::SIGKILL);
    first.exit(wait::TIMEOUT).await;
    let _second = slave("two", Setup::slave("two", proxy.link), &fixture, "modern").await;
    noted(&fixture, r#"listen ["res:1"]"#, 1).await;
    wait::until("a call of the other slave", async || {
        let answer = client.call("touch", json!({ "uri": "res:1" })).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(updated(&mut stream).await["uri"], "res:1");
}

#[tokio::test]
async fn a_proxy_and_a_slave_that_go_down_wait_for_no_stream_and_end_it_in_order() {
    let fixture = Fixture::default();
    let (mut proxy, mut slave) = proxy_and_slave(&fixture, "legacy").await;
    let filter = json!({ "resourceSubscriptions": ["res:1"] });
    let mut streams = Vec::new();
    for address in [proxy.http, slave.http] {
        let mut stream = listen(&Client::modern(address), filter.clone()).await;
        acknowledged(&mut stream).await;
        streams.push(stream);
    }
    let [of_proxy, of_slave] = &mut streams[..] else { unreachable!() };
    slave.signal(Signal::SIGTERM);
    assert_eq!(told(of_slave).await, ("result".into(), json!({ "resultType": "complete" })));
    assert_eq!(of_slave.next().await, None);
    assert_eq!(slave.exit(wait::TIMEOUT).await.code(), Some(0));
    assert!(!slave.log.text().contains("The grace is over"));
    proxy.signal(Signal::SIGTERM);
    assert_eq!(told(of_proxy).await, ("result".into(), json!({ "resultType": "complete" })));
    assert_eq!(of_proxy.next().await, None);
    assert_eq!(proxy.exit(wait::TIMEOUT).await.code(), Some(0));
    assert!(!proxy.log.text().contains("The grace is over"));
}

/// Most bytes of a process for one open stream, connection and allocator included, in a build that is not optimized.
const MAX_STREAM_BYTES: u64 = 100 * 1024;

#[tokio::test]
async fn a_thousand_streams_take_little_memory_and_nothing_of_the_capacity() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("SLAVE_CAPACITY", "1");
    let slave = slave("one", setup, &fixture, "modern").await;
    proxy.offers("touch").await;
    let client = Client::modern(proxy.http);
    let before = [proxy.resident(), slave.resident()];
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = listen(&client, json!({ "resourceSubscriptions": ["res:1"] })).await;
        acknowledged(&mut stream).await;
        streams.push(stream);
    }
    touch(&client, "res:1").await;
    for stream in &mut streams {
        updated(stream).await;
    }
    let scrape = Scrape::of(proxy.http).await;
    assert!((scrape.sum("mcp_relay_listening_streams", &[]) - 1000.0).abs() < 0.5);
    let grown = [proxy.resident() - before[0], slave.resident() - before[1]];
    let each = grown.map(|bytes| bytes / 1000);
    println!("bytes of proxy and slave for each stream: {each:?}");
    assert!(each.iter().all(|bytes| *bytes < MAX_STREAM_BYTES), "{each:?}");
    drop(streams);
    wait::until("no stream", async || {
        let open = Scrape::of(proxy.http).await.sum("mcp_relay_listening_streams", &[]);
        (open < 0.5).then_some(())
    })
    .await;
}
