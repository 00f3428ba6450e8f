//! What leads a client to a token, and which of several credentials counts.

use std::io::Write;
use std::net::SocketAddr;

use harness::client::{Client, McpRequest};
use harness::http::{Exchange, request};
use harness::issuer::{SigningKey, TestIssuer};
use harness::relay::Setup;
use hyper::Method;
use serde_json::Value;

use super::{Issuers, RESOURCE, post, show};

async fn get(address: SocketAddr, method: Method, path: &str, origin: &str) -> (Exchange, Value) {
    let headers = [("origin".to_owned(), origin.to_owned()), ("host".to_owned(), "relay.example".to_owned())];
    let mut exchange = Exchange::start(address, request(method, path, &headers, Vec::new())).await;
    let body = serde_json::from_slice(&exchange.rest().await).unwrap_or_default();
    (exchange, body)
}

#[tokio::test]
async fn whoever_shows_nothing_is_led_to_the_metadata_which_every_page_may_read() {
    let issuer = TestIssuer::start(&[SigningKey::ed().jwk("d")]).await;
    let issuers = Issuers::of(&issuer, &["scopes: [mcp, read]"]);
    let proxy = issuers.setup().env("ALLOW_ANONYMOUS", "1").start_proxy().await;
    let (status, kind, challenge) = post(proxy.http, &[]).await;
    assert_eq!((status, kind.as_str()), (401, "unauthorized"), "a token is asked of everybody");
    assert_eq!(
        challenge,
        "Bearer resource_metadata=\"https://relay.example/.well-known/oauth-protected-resource/mcp\", scope=\"mcp read\""
    );
    for path in ["", "/mcp", "/mcp/", "/", "/sse", "/messages"] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let (exchange, body) = get(proxy.http, Method::GET, &path, "https://inspector.example").await;
        assert_eq!(exchange.status, 200, "{path}");
        assert_eq!(exchange.header("access-control-allow-origin"), "*");
        assert_eq!(body["resource"], RESOURCE);
        assert_eq!(body["authorization_servers"], serde_json::json!([issuer.url]));
        assert_eq!(body["scopes_supported"], serde_json::json!(["mcp", "read"]));
        let (exchange, _) = get(proxy.http, Method::OPTIONS, &path, "https://inspector.example").await;
        assert_eq!((exchange.status.as_u16(), exchange.header("access-control-allow-headers")), (204, "*"));
    }
    let well_known = "/.well-known/oauth-protected-resource";
    let (exchange, _) = get(proxy.http, Method::POST, well_known, "https://inspector.example").await;
    assert_eq!((exchange.status.as_u16(), exchange.header("allow")), (405, "GET, HEAD, OPTIONS"));
    for path in [
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-protected-resources",
        "/.well-known/",
    ] {
        assert_eq!(get(proxy.http, Method::GET, path, "http://localhost").await.0.status, 404, "{path}");
    }
    // The endpoint itself is read by pages of allowed origins alone.
    assert_eq!(get(proxy.http, Method::GET, "/mcp", "https://inspector.example").await.0.status, 403);
}

#[tokio::test]
async fn without_issuers_there_is_no_metadata_and_the_challenge_asks_for_a_key() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key-of-the-desktop").start_proxy().await;
    let (status, _, challenge) = show(proxy.http, "a.b.c").await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer realm=\"mcp\""));
    let path = "/.well-known/oauth-protected-resource";
    assert_eq!(get(proxy.http, Method::GET, path, "http://localhost").await.0.status, 404);
}

#[tokio::test]
async fn what_is_shown_and_invalid_falls_through_to_nothing_weaker() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let issuers = Issuers::of(&issuer, &[]);
    let proxy = issuers
        .setup()
        .env("AUTH_BEARER_KEYS", "key-of-the-desktop")
        .env("OPS_KEYS", "key-of-operators-1")
        .env("AUTH_CUSTOM_HEADER", "x-api-key")
        .start_proxy()
        .await;
    let token = format!("Bearer {}", key.token("e", &issuer.claims("ada", RESOURCE)));
    let mut expired = issuer.claims("ada", RESOURCE);
    expired["exp"] = 1.into();
    let expired = format!("Bearer {}", key.token("e", &expired));
    let (bearer, custom) = ("authorization", "x-api-key");
    for (headers, expected) in [
        (&[(bearer, token.as_str())][..], 200),
        (&[(bearer, "Bearer key-of-the-desktop")], 200),
        (&[(custom, "key-of-the-desktop")], 200),
        (&[(bearer, &token), (custom, "key-of-the-desktop")], 200),
        (&[(bearer, &expired), (custom, "key-of-the-desktop")], 401),
        (&[(bearer, "Bearer "), (custom, "key-of-the-desktop")], 401),
        (&[(bearer, "Bearer key-of-operators-1")], 403),
        (&[(custom, "key-of-operators-1")], 403),
        (&[(custom, &token)], 401),
        (&[(bearer, "Basic a2V5")], 401),
        (&[], 401),
    ] {
        assert_eq!(post(proxy.http, headers).await.0, expected, "{headers:?}");
    }
    // A token opens nothing of operators.
    let headers = [(bearer.to_owned(), token)];
    let mut exchange =
        Exchange::start(proxy.http, request(Method::GET, "/metrics", &headers, Vec::new())).await;
    exchange.head().await;
    assert_eq!(exchange.status, 401);
}

#[tokio::test]
async fn a_step_up_asks_for_what_the_token_has_and_what_the_policy_needs() {
    let key = SigningKey::ec();
    let issuer = TestIssuer::start(&[key.jwk("e")]).await;
    let issuers = Issuers::of(&issuer, &["scopes: [mcp]"]);
    let mut policy = tempfile::NamedTempFile::new().unwrap();
    let rule = b"allow: [{who: authenticated, tools: echo, requires_scope: [write, audit]}]";
    policy.write_all(rule).unwrap();
    let setup = issuers.setup().env("POLICY", policy.path().to_str().unwrap());
    let proxy = setup.start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.accepted(1).await;
    let client = |scope: &str| {
        let mut claims = issuer.claims("ada", RESOURCE);
        claims["scope"] = scope.into();
        let bearer = format!("Bearer {}", key.token("e", &claims));
        Client::modern(proxy.http).with_header("authorization", &bearer)
    };
    client("mcp").lists(&["echo"]).await;
    let call = async |scope: &str| {
        let client = client(scope);
        let arguments = serde_json::json!({"text": "hello"});
        let mut answer = client.start(McpRequest::tool(1, "echo", arguments)).await;
        answer.exchange.head().await;
        (answer.exchange.status.as_u16(), answer.exchange.header("www-authenticate").to_owned())
    };
    for scope in ["mcp read", "mcp read write"] {
        let (status, challenge) = call(scope).await;
        assert_eq!(status, 403, "{challenge}");
        assert!(
            challenge.contains("error=\"insufficient_scope\"")
                && challenge.contains("scope=\"mcp read write audit\""),
            "{challenge}"
        );
    }
    assert_eq!(call("mcp read write audit").await.0, 200);
}
