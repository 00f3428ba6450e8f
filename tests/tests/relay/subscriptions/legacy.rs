//! `resources/subscribe` and the GET stream of sessions.

use harness::client::{Client, McpRequest, Pending};
use harness::fixture::Fixture;
use harness::relay::{Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

use super::{noted, slave, touch};

async fn subscribe(client: &Client, method: &str, uri: &str) -> Value {
    let answer = client.request(McpRequest::new(9, method, json!({ "uri": uri }))).await;
    answer.response().clone()
}

/// The next message of a stream.
async fn told(stream: &mut Pending) -> Value {
    stream.next().await.expect("a message")
}

async fn two_proxies(fixture: &Fixture) -> ([harness::relay::Proxy; 2], Slave) {
    let proxy = || Setup::proxy().env("SESSION_KEY", "the-key-that-all-replicas-have-in-common");
    let proxies = [proxy().start_proxy().await, proxy().start_proxy().await];
    let urls = proxies.each_ref().map(|proxy| format!("ws://{}", proxy.link)).join(",");
    let setup = Setup::slave("one", proxies[0].link).env("PROXY_SERVER_URL", urls);
    let slave = slave("one", setup, fixture, "legacy").await;
    for proxy in &proxies {
        proxy.offers("touch").await;
    }
    (proxies, slave)
}

#[tokio::test]
async fn a_session_subscribes_at_one_proxy_and_is_told_at_another() {
    let fixture = Fixture::default();
    let ([one, two], _slave) = two_proxies(&fixture).await;
    let client = Client::legacy(one.http).await;
    let other = Client::legacy(two.http).await;
    let mut stream = client.at(two.http).open_stream().await;
    let mut others = other.open_stream().await;
    assert_eq!(subscribe(&client, "resources/subscribe", "res:1").await["result"], json!({}));
    touch(&client, "res:1").await;
    let update = told(&mut stream).await;
    let params = json!({ "uri": "res:1", "title": "kept" });
    assert_eq!(
        update,
        json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params })
    );
    client.call("grow", json!({ "list": "tools" })).await.result();
    for stream in [&mut stream, &mut others] {
        assert_eq!(told(stream).await["method"], "notifications/tools/list_changed");
    }
    // What comes while no stream is open waits for the next one.
    drop(stream);
    touch(&client, "res:1").await;
    let mut stream = client.open_stream().await;
    assert_eq!(told(&mut stream).await["params"]["uri"], "res:1");
    assert_eq!(subscribe(&client, "resources/unsubscribe", "res:1").await["result"], json!({}));
    noted(&fixture, "unsubscribe res:1", 1).await;
}

#[tokio::test]
async fn a_refusal_comes_as_the_backend_wrote_it_and_a_session_s_end_frees_what_it_had() {
    let fixture = Fixture::default();
    let ([one, two], _slave) = two_proxies(&fixture).await;
    let client = Client::legacy(one.http).await;
    let refused = subscribe(&client, "resources/subscribe", "res:refused").await;
    assert_eq!(refused["error"], json!({ "code": -32050, "message": "not this one" }));
    for uri in ["res:1", "res:2"] {
        assert_eq!(subscribe(&client, "resources/subscribe", uri).await["result"], json!({}));
    }
    assert_eq!(client.at(two.http).end_session().await, 200);
    for uri in ["res:1", "res:2"] {
        noted(&fixture, &format!("unsubscribe {uri}"), 1).await;
    }
}

#[tokio::test]
async fn a_session_that_unsubscribes_is_freed_at_whichever_slaves_have_its_subscription() {
    let (one, two) = (Fixture::default(), Fixture::default());
    let proxy = Setup::proxy().start_proxy().await;
    let _one = slave("one", Setup::slave("one", proxy.link), &one, "legacy").await;
    let _two = slave("two", Setup::slave("two", proxy.link), &two, "legacy").await;
    proxy.accepted(2).await;
    proxy.offers("touch").await;
    let client = Client::legacy(proxy.http).await;
    let asked = |fixture: &Fixture| fixture.log("process").contains(&"subscribe res:1".to_owned());
    wait::until("a subscription at both slaves", async || {
        assert_eq!(subscribe(&client, "resources/subscribe", "res:1").await["result"], json!({}));
        (asked(&one) && asked(&two)).then_some(())
    })
    .await;
    assert_eq!(subscribe(&client, "resources/unsubscribe", "res:1").await["result"], json!({}));
    noted(&one, "unsubscribe res:1", 1).await;
    noted(&two, "unsubscribe res:1", 1).await;
}
