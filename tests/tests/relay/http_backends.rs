//! MCP servers that a slave reaches over HTTP: eras and transports, lost sessions, broken streams, servers that go and come back, and what
//! of an entry must reach nobody else.

use harness::client::{Client, McpRequest};
use harness::mcp_upstream::{Kind, McpUpstream};
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};

/// A secret of an entry's headers.
const SECRET: &str = "canary-of-the-headers";

struct Scene {
    proxy: Proxy,
    slave: Slave,
    _file: tempfile::TempPath,
}

/// A proxy and a slave with this entry as its only backend.
async fn scene(entry: &Value, env: &[(&str, &str)]) -> Scene {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&file, json!({ "mcpServers": { "web": entry } }).to_string()).unwrap();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link)
        .env("DEMO_TOOLS", "0")
        .env("SLAVE_BACKENDS", file.to_str().unwrap())
        .env("TOKEN", SECRET);
    let setup = env.iter().fold(setup, |setup, (name, value)| setup.env(name, *value));
    let slave = setup.start_slave().await;
    Scene { proxy, slave, _file: file }
}

fn with_secret(mut entry: Value) -> Value {
    entry["headers"] = json!({ "Authorization": "Bearer ${TOKEN}" });
    entry
}

#[tokio::test]
async fn every_transport_serves_clients_of_both_eras() {
    for kind in [Kind::Modern, Kind::Legacy, Kind::Events] {
        let upstream = McpUpstream::start(kind).await;
        let scene = scene(&with_secret(upstream.entry(kind)), &[]).await;
        scene.proxy.offers("say").await;
        for client in [Client::modern(scene.proxy.http), Client::legacy(scene.proxy.http).await] {
            let client =
                client.with_header("x-private", "of the client").with_header("mcp-param-region", "eu");
            let ask = McpRequest::tool(1, "say", json!({ "text": "é", "region": "eu" }));
            let answer = client.request(ask).await;
            assert_eq!(answer.text(), "said é", "{kind:?}");
            if kind != Kind::Events {
                let steps = client
                    .request(McpRequest::tool(2, "steps", json!({ "region": "eu" })).progress("t"))
                    .await;
                assert_eq!((steps.progress(), steps.text()), (vec![1.0, 2.0], "said nothing"), "{kind:?}");
            }
        }
        let calls = upstream.seen("tools/call");
        assert!(
            calls.iter().all(|call| call.header("authorization") == format!("Bearer {SECRET}")),
            "{kind:?}"
        );
        assert!(calls.iter().all(|call| call.header("x-private").is_empty()), "{kind:?}");
        let first = &calls[0];
        match kind {
            Kind::Modern => {
                assert_eq!(first.header("mcp-protocol-version"), "2026-07-28");
                assert_eq!((first.header("mcp-method"), first.header("mcp-name")), ("tools/call", "say"));
                assert_eq!(first.header("mcp-param-region"), "eu");
            }
            Kind::Legacy => {
                assert_eq!(first.header("mcp-protocol-version"), "2025-11-25");
                assert_eq!(first.header("mcp-session-id"), "session-1");
            }
            Kind::Events => assert_eq!(first.header("mcp-session-id"), ""),
        }
        assert!(!scene.slave.log.text().contains(SECRET) && !scene.proxy.log.text().contains(SECRET));
    }
}

#[tokio::test]
async fn errors_of_the_server_are_answers_and_faults_are_told() {
    for kind in [Kind::Modern, Kind::Legacy] {
        let upstream = McpUpstream::start(kind).await;
        let scene = scene(&upstream.entry(kind), &[]).await;
        scene.proxy.offers("say").await;
        let client = Client::modern(scene.proxy.http);
        let odd = client.call("odd", json!({})).await;
        assert_eq!(odd.error()["message"], "no such thing", "{kind:?}");
        let broken = client.call("broken", json!({})).await;
        assert_eq!(broken.kind(), "backend_failed", "{kind:?}");
        assert!(broken.error()["message"].as_str().unwrap().contains("500"), "{}", broken.error());
        assert_eq!(client.call("say", json!({ "text": "on" })).await.text(), "said on");
    }
}

#[tokio::test]
async fn a_lost_session_is_begun_again_and_the_call_is_answered() {
    let upstream = McpUpstream::start(Kind::Legacy).await;
    let scene = scene(&upstream.entry(Kind::Legacy), &[]).await;
    scene.proxy.offers("say").await;
    upstream.lose_session();
    let answer = Client::modern(scene.proxy.http).call("say", json!({ "text": "again" })).await;
    assert_eq!(answer.text(), "said again");
    assert_eq!(upstream.seen("tools/call").len(), 2, "the one that was refused, and the one that ran");
    assert_eq!(upstream.seen("tools/call")[1].header("mcp-session-id"), "session-2");
    assert!(upstream.seen("initialize").iter().all(|seen| seen.header("mcp-session-id").is_empty()));
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_after_its_last_event() {
    let upstream = McpUpstream::start(Kind::Legacy).await;
    let scene = scene(&upstream.entry(Kind::Legacy), &[]).await;
    scene.proxy.offers("cut").await;
    assert_eq!(Client::modern(scene.proxy.http).call("cut", json!({})).await.text(), "resumed");
    assert_eq!(upstream.seen("tools/call").len(), 1, "the call itself is not sent again");
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_a_legacy_server() {
    let upstream = McpUpstream::start(Kind::Legacy).await;
    let scene = scene(&upstream.entry(Kind::Legacy), &[]).await;
    scene.proxy.offers("hang").await;
    let client = Client::legacy(scene.proxy.http).await;
    let running = client.start(McpRequest::tool(7, "hang", json!({})).progress(1)).await;
    wait::until("the call", async || (upstream.seen("tools/call").len() == 1).then_some(())).await;
    client.cancel(7).await;
    let cancelled =
        wait::until("its cancellation", async || upstream.seen("notifications/cancelled").into_iter().next())
            .await;
    let call = &upstream.seen("tools/call")[0];
    assert_eq!(cancelled.message["params"]["requestId"], call.message["id"]);
    drop(running);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed() {
    let (upstream, other) = (McpUpstream::start(Kind::Modern).await, McpUpstream::start(Kind::Modern).await);
    let scene = scene(&with_secret(upstream.entry(Kind::Modern)), &[]).await;
    scene.proxy.offers("say").await;
    upstream.redirect(&format!("http://{}/mcp", other.address));
    let answer = Client::modern(scene.proxy.http).call("say", json!({})).await;
    assert_eq!(answer.kind(), "backend_failed");
    assert!(answer.error()["message"].as_str().unwrap().contains("redirects"), "{}", answer.error());
    assert!(other.seen("tools/call").is_empty());
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_serves_again() {
    for kind in [Kind::Modern, Kind::Legacy, Kind::Events] {
        let upstream = McpUpstream::start(kind).await;
        let scene = scene(&upstream.entry(kind), &[("BACKEND_WAIT", "1")]).await;
        scene.proxy.offers("say").await;
        let address = upstream.address;
        drop(upstream);
        let client = Client::modern(scene.proxy.http);
        wait::until("a failure", async || {
            let answer = client.call("say", json!({})).await;
            answer.response().get("error").map(|_| ())
        })
        .await;
        let again = McpUpstream::start_on(kind, address).await;
        wait::until("an answer", async || {
            let answer = client.call("say", json!({ "text": "back" })).await;
            answer.response().get("result").map(|_| ())
        })
        .await;
        assert!(!again.seen("tools/call").is_empty());
    }
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_unless_it_is_excepted() {
    // A server that takes the request as a proxy would: with the whole URL.
    let forward = McpUpstream::start(Kind::Modern).await;
    let entry = json!({ "url": "http://upstream.invalid/mcp" });
    let url = format!("http://{}", forward.address);
    let scene = scene(&entry, &[("HTTP_PROXY", &url), ("NO_PROXY", "127.0.0.1")]).await;
    scene.proxy.offers("say").await;
    assert_eq!(Client::modern(scene.proxy.http).call("say", json!({})).await.text(), "said nothing");
    assert_eq!(forward.seen("tools/call")[0].header("host"), "upstream.invalid");
}
