//! Requirements of each era on the endpoint: opening, errors, statuses, sessions.

use harness::client::{Client, LEGACY, MODERN, McpRequest};
use harness::http::{Exchange, request};
use harness::relay::{Setup, pair};
use hyper::Method;
use serde_json::{Value, json};

async fn json_of(exchange: &mut Exchange) -> Value {
    let body = exchange.rest().await;
    serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)))
}

#[tokio::test]
async fn a_modern_client_discovers_the_relay() {
    let (proxy, _slave) = pair().await;
    let answer = Client::modern(proxy.http).request(McpRequest::new(1, "server/discover", json!({}))).await;
    let result = answer.result();
    assert_eq!(answer.status, 200);
    assert_eq!(result["resultType"], "complete");
    assert!(result["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)));
    assert!(result["capabilities"]["tools"].is_object());
    assert!(result["ttlMs"].is_number() && result["cacheScope"].is_string(), "{result}");
}

#[tokio::test]
async fn a_modern_list_says_how_long_it_holds() {
    let proxy = Setup::proxy().env("LIST_TTL_MS", "1234").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let answer = Client::modern(proxy.http).request(McpRequest::new(1, "tools/list", json!({}))).await;
    assert_eq!(answer.result()["ttlMs"], 1234);
    assert_eq!(answer.result()["resultType"], "complete");
}

#[tokio::test]
async fn a_legacy_client_initializes_and_pings() {
    let (proxy, _slave) = pair().await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY] {
        let client = Client::legacy_on(proxy.http, "/mcp", version).await;
        assert!(client.session.is_some(), "{version}: a session id");
        let answer = client.request(McpRequest::new(2, "ping", json!({}))).await;
        assert_eq!(answer.result(), &json!({}), "{version}");
    }
    let mut client = Client::uninitialized(proxy.http);
    let answer = client.initialize().await;
    assert_eq!(answer.result()["protocolVersion"], LEGACY);
    assert!(answer.result()["capabilities"]["tools"].is_object());
    assert!(answer.result()["serverInfo"]["name"].is_string());
}

#[tokio::test]
async fn initialize_with_an_unknown_version_gets_the_newest_legacy_one() {
    let (proxy, _slave) = pair().await;
    let params = json!({ "protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string();
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("accept".to_owned(), "application/json, text/event-stream".to_owned()),
    ];
    let mut exchange =
        Exchange::start(proxy.http, request(Method::POST, "/mcp", &headers, body.into_bytes())).await;
    exchange.head().await;
    assert_eq!(json_of(&mut exchange).await["result"]["protocolVersion"], LEGACY);
}

#[tokio::test]
async fn an_unknown_method_is_refused_as_each_era_asks() {
    let (proxy, _slave) = pair().await;
    for (client, status) in [(Client::modern(proxy.http), 404), (Client::legacy(proxy.http).await, 200)] {
        for (method, params) in
            [("no/such", json!({})), ("skills/list", json!({})), ("x", json!({ "name": 3, "uri": [] }))]
        {
            let answer = client.request(McpRequest::new(1, method, params)).await;
            assert_eq!((answer.status, answer.code()), (status, -32601), "{method}: {:?}", answer.messages);
        }
    }
}

#[tokio::test]
async fn headers_that_differ_from_a_modern_body_are_refused() {
    let (proxy, _slave) = pair().await;
    for (header, value) in
        [("mcp-method", "tools/list"), ("mcp-name", "sleep"), ("mcp-protocol-version", "2025-11-25")]
    {
        let client = Client::modern(proxy.http).with_header(header, value);
        let answer = client.call("echo", json!({ "text": "x" })).await;
        assert_eq!((answer.status, answer.code()), (400, -32020), "{header}: {:?}", answer.messages);
    }
}

#[tokio::test]
async fn a_session_that_is_not_ours_is_not_found() {
    let (proxy, _slave) = pair().await;
    let mut client = Client::legacy(proxy.http).await;
    let token = client.session.clone().unwrap();
    assert_eq!(client.call("echo", json!({ "text": "x" })).await.text(), "x");
    // With one changed character the seal is invalid.
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    client.session = Some(format!("{}{last}", &token[..token.len() - 1]));
    let answer = client.call("echo", json!({ "text": "x" })).await;
    assert_eq!((answer.status, answer.kind()), (404, "session_not_found"));
}

#[tokio::test]
async fn a_session_holds_on_every_proxy_with_the_same_key_and_no_other() {
    let key = "a session key of more than 32 characters";
    let first = Setup::proxy().env("SESSION_KEY", key).start_proxy().await;
    let second = Setup::proxy().env("SESSION_KEY", key).start_proxy().await;
    let stranger = Setup::proxy().start_proxy().await;
    stranger.log.wait_for("SESSION_KEY").await;
    let _slave = Setup::slave("one", second.link).start_slave().await;
    second.offers("echo").await;
    let session = Client::legacy(first.http).await.session;
    let on = |address| {
        let mut client = Client::uninitialized(address);
        client.session.clone_from(&session);
        client
    };
    assert_eq!(on(second.http).call("echo", json!({ "text": "x" })).await.text(), "x");
    assert_eq!(on(stranger.http).request(McpRequest::new(1, "ping", json!({}))).await.status, 404);
}

#[tokio::test]
async fn bodies_that_are_no_message_are_refused_with_the_reason() {
    let (proxy, _slave) = pair().await;
    let client = Client::legacy(proxy.http).await;
    for (body, code) in [
        ("{", -32700),
        ("\u{1}", -32700),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600),
    ] {
        let mut exchange = client.post(body.as_bytes()).await;
        assert_eq!(exchange.status, 400, "{body}");
        assert_eq!(json_of(&mut exchange).await["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_gets_413_that_names_it() {
    let proxy = Setup::proxy().env("MAX_BODY_BYTES", "2048").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    let answer = client.call("echo", json!({ "text": "x".repeat(3000) })).await;
    assert_eq!((answer.status, answer.kind()), (413, "body_too_large"));
    let message = answer.error()["message"].as_str().unwrap();
    assert!(message.contains("2048") && message.contains("MAX_BODY_BYTES"), "{message}");
    assert_eq!(client.call("echo", json!({ "text": "short" })).await.text(), "short");
}

#[tokio::test]
async fn foreign_origins_are_forbidden_and_local_ones_are_not() {
    let (proxy, _slave) = pair().await;
    let from = |origin| Client::modern(proxy.http).with_header("origin", origin);
    let answer = from("http://evil.example").call("echo", json!({ "text": "x" })).await;
    assert_eq!(answer.status, 403);
    assert_eq!(from("http://localhost:3000").call("echo", json!({ "text": "x" })).await.text(), "x");
}

#[tokio::test]
async fn keys_are_required_when_they_are_set() {
    let proxy = Setup::proxy()
        .env("AUTH_BEARER_KEYS", "key-one, key-two")
        .env("AUTH_CUSTOM_HEADER", "x-api-key")
        .start_proxy()
        .await;
    let list = || McpRequest::new(1, "tools/list", json!({}));
    let client = Client::modern(proxy.http);
    let answer = client.request(list()).await;
    assert_eq!((answer.status, answer.code()), (401, -31014));
    for (header, value, status) in [
        ("authorization", "Bearer key-two", 200),
        ("authorization", "Bearer key-tw", 401),
        ("authorization", "Bearer key-one, key-two", 401),
        ("x-api-key", "key-one", 200),
        ("x-api-key", "KEY-ONE", 401),
    ] {
        let answer = client.clone().with_header(header, value).request(list()).await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
    for path in ["/healthz", "/readyz", "/health"] {
        assert_eq!(harness::http::get(proxy.http, path).await.0, 200, "{path} needs no key");
    }
    assert_eq!(harness::http::get(proxy.http, "/metrics").await.0, 401, "/metrics is no health check");
}
