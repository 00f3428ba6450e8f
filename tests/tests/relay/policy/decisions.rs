//! What each client sees and may use: identity by kind, alone and in a batch.

use harness::client::{Client, McpRequest};
use harness::wait;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Files, client};

const POLICY: &str = "
allow:
  - { name: devs, who: { group: devs }, tools: [echo, sleep], prompts: '*', resources: 'demo://echo/a*' }
  - { name: ops, who: { key: ops } }
  - { name: small, who: { key: ci }, tools: payload, arguments: { pointer: /bytes, in: [1, 2] } }
  - { name: step-up, who: { key: ci }, tools: fail, requires_scope: [admin, fail] }
deny:
  - { name: interns, who: { group: interns }, tools: sleep }
";

fn tool(name: &str) -> McpRequest {
    let arguments = match name {
        "sleep" => json!({ "seconds": 0 }),
        "payload" => json!({ "bytes": 3 }),
        "fail" => json!({ "message": "no" }),
        _ => json!({ "text": "hi" }),
    };
    McpRequest::tool(1, name, arguments)
}

fn read(uri: &str) -> McpRequest {
    McpRequest::new(1, "resources/read", json!({ "uri": uri }))
}

/// The kind of the failure; `ok` where there is a result.
async fn outcome(client: &Client, request: McpRequest) -> String {
    let answer = client.request(request).await;
    if answer.response().get("result").is_some() { "ok".into() } else { answer.kind().to_owned() }
}

#[tokio::test]
async fn each_client_sees_and_uses_what_the_policy_allows_and_nothing_else() {
    let files = Files::new(POLICY);
    let (proxy, _slave) = files.scene().await;
    for (name, tools) in [
        ("ops", &["echo", "fail", "payload", "sleep"][..]),
        ("dev", &["echo", "sleep"]),
        ("intern", &["echo"]),
        ("ci", &["fail", "payload"]),
        ("guest", &[]),
    ] {
        client(&proxy, name).lists(tools).await;
    }
    for (name, request, expected) in [
        ("dev", tool("echo"), "ok"),
        ("dev", tool("sleep"), "ok"),
        ("dev", tool("payload"), "unknown_tool"),
        ("intern", tool("echo"), "ok"),
        ("intern", tool("sleep"), "unknown_tool"),
        ("ops", tool("payload"), "ok"),
        ("ci", tool("payload"), "forbidden"),
        ("ci", McpRequest::tool(1, "payload", json!({ "bytes": 2.0 })), "ok"),
        ("ci", McpRequest::tool(1, "payload", json!({ "bytes": [2] })), "forbidden"),
        ("ci", tool("fail"), "insufficient_scope"),
        ("ci", tool("echo"), "unknown_tool"),
        ("guest", tool("echo"), "unknown_tool"),
        ("ops", read("demo://about"), "ok"),
        ("dev", read("demo://about"), "unknown_resource"),
        ("dev", read("demo://echo/abc"), "ok"),
        ("dev", read("demo://echo/xyz"), "unknown_resource"),
        ("ci", read("demo://echo/abc"), "unknown_resource"),
        ("ops", McpRequest::new(1, "extension/method", json!({})), "method_not_found"),
    ] {
        let asked = format!("{name} {request:?}");
        assert_eq!(outcome(&client(&proxy, name), request).await, expected, "{asked}");
    }
    let resources = |name: &str| {
        let client = client(&proxy, name);
        async move {
            let answer = client.request(McpRequest::new(1, "resources/list", json!({}))).await;
            let result = answer.result();
            assert_eq!(result["cacheScope"], "private");
            result["resources"].as_array().unwrap().len()
        }
    };
    assert_eq!((resources("ops").await, resources("dev").await), (1, 0));
}

#[tokio::test]
async fn what_is_denied_cannot_be_told_from_what_does_not_exist() {
    let files = Files::new(POLICY);
    let (proxy, _slave) = files.scene().await;
    let guest = client(&proxy, "guest");
    client(&proxy, "ops").lists(&["echo", "fail", "payload", "sleep"]).await;
    let error = async |method: &str, name: &str, params: Value| {
        let pending = guest.request(McpRequest::new(1, method, params)).await;
        pending.error().to_string().replace(name, "NAME")
    };
    for (method, real, made_up) in [
        ("tools/call", "echo", "nothing"),
        ("prompts/get", "greet", "nothing"),
        ("resources/read", "demo://about", "demo://nothing"),
        ("resources/read", "demo://echo/abc", "demo://nothing"),
    ] {
        let params = |name: &str| match method {
            "resources/read" => json!({ "uri": name }),
            _ => json!({ "name": name, "arguments": {} }),
        };
        let denied = error(method, real, params(real)).await;
        assert_eq!(denied, error(method, made_up, params(made_up)).await, "{method} {real}");
    }
}

#[tokio::test]
async fn a_challenge_names_all_scopes_and_a_denied_argument_is_403() {
    let files = Files::new(POLICY);
    let (proxy, _slave) = files.scene().await;
    let ci = client(&proxy, "ci");
    ci.lists(&["fail", "payload"]).await;
    let mut challenged = ci.start(tool("fail")).await;
    challenged.exchange.head().await;
    assert_eq!(challenged.exchange.status, StatusCode::FORBIDDEN);
    let header = challenged.exchange.header("www-authenticate");
    assert!(header.contains(r#"error="insufficient_scope""#) && header.contains("admin fail"), "{header}");
    let mut forbidden = ci.start(tool("payload")).await;
    forbidden.exchange.head().await;
    assert_eq!(forbidden.exchange.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn in_a_batch_the_message_fails_and_not_the_request() {
    let files = Files::new(POLICY);
    let (proxy, _slave) = files.scene().await;
    client(&proxy, "ci").lists(&["fail", "payload"]).await;
    let mut ci = Client::uninitialized(proxy.http).with_header("authorization", "Bearer key-of-ci");
    ci = ci.speaking("2025-03-26");
    ci.initialize().await;
    let call = |id: u32, name: &str, bytes: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": { "bytes": bytes } } });
    let batch =
        json!([call(1, "payload", 1), call(2, "payload", 9), call(3, "echo", 1), call(4, "nothing", 1)]);
    let mut exchange = ci.post(batch.to_string().as_bytes()).await;
    exchange.head().await;
    assert_eq!(exchange.status, StatusCode::OK);
    let text = String::from_utf8(exchange.rest().await).unwrap();
    assert!(text.contains("\"forbidden\"") && text.matches("\"unknown_tool\"").count() == 2, "{text}");
    assert!(text.contains("\"result\""), "{text}");
}

#[tokio::test]
async fn a_quota_counts_the_calls_of_a_day_of_each_client_or_of_all() {
    let policy = |each: u32| {
        format!(
            "
allow: [{{ who: anyone, tools: '*', prompts: '*' }}]
deny: [{{ who: {{ key: ops }}, tools: fail }}]
quotas:
  - {{ name: devs, who: {{ group: devs }}, tools: echo, calls: {each} }}
  - {{ name: sleeps, who: anyone, tools: sleep, calls: 1, share: together }}
"
        )
    };
    let files = Files::new(&policy(2));
    let (proxy, _slave) = files.scene().await;
    let (dev, intern, ops) = (client(&proxy, "dev"), client(&proxy, "intern"), client(&proxy, "ops"));
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
    let echo = async |client: &Client| {
        let answer = client.call("echo", json!({ "text": "x" })).await;
        answer.response().get("result").map_or_else(|| answer.kind().to_owned(), |_| "ok".to_owned())
    };
    for (client, expected) in [
        (&dev, "ok"),
        (&dev, "ok"),
        (&dev, "rate_limited"),
        (&intern, "ok"),
        (&intern, "ok"),
        (&intern, "rate_limited"),
        (&ops, "ok"),
        (&ops, "ok"),
        (&ops, "ok"),
    ] {
        assert_eq!(echo(client).await, expected);
    }
    // The other tools are free, and so is what is no call.
    assert_eq!(dev.call("payload", json!({ "bytes": 3 })).await.text().len(), 3);
    dev.lists(&["echo", "fail", "payload", "sleep"]).await;
    let sleep = json!({ "seconds": 0 });
    assert!(ops.call("sleep", sleep.clone()).await.response().get("result").is_some());
    let refused = dev.call("sleep", sleep).await;
    assert_eq!((refused.status, refused.kind()), (429, "rate_limited"));
    assert!(refused.error()["data"]["retryAfter"].as_u64().unwrap() <= 86_400, "{}", refused.error());
    // Another number counts with what was used.
    files.change(&proxy, &policy(3)).await;
    wait::until("the new number", async || (echo(&dev).await == "ok").then_some(())).await;
    assert_eq!(echo(&dev).await, "rate_limited");
}
