//! What operators do by the status page (`UI=full`): calls over `/ui/mcp`, by the role `operate` and the policy, from the page alone.

use harness::client::{Client, McpRequest};
use harness::http::{get, request};
use harness::relay::{Proxy, Setup, port, sleep_args};
use harness::wait;
use hyper::Method;
use serde_json::json;

use super::Files;
use crate::audit::{key_id, line};

const KEYS: &str = "\
- { key: ops-key-canary, name: ops }
- { key: dev-key-canary, name: dev }
";

const POLICY: &str = "\
operators: { ui: { key: [ops, dev] }, api: { key: ops }, operate: { key: ops } }
allow:
- { name: operators try, who: { key: ops }, tools: [echo, sleep] }
- { name: clients, who: { key: 'guest' } }
";

/// A proxy with operators' keys of their own.
fn setup(files: &Files) -> Setup {
    std::fs::write(files.path("ops.yaml"), KEYS).unwrap();
    files.proxy().env("UI", "full").env("OPS_KEYS_FILE", files.path("ops.yaml").to_str().unwrap())
}

/// The page as an operator with this key opens it.
fn page(proxy: &Proxy, key: &str) -> Client {
    Client::modern(proxy.http)
        .on_path("/ui/mcp")
        .with_header("authorization", &format!("Bearer {key}"))
        .with_header("x-mcp-relay-command", "1")
}

fn echo() -> McpRequest {
    McpRequest::tool(1, "echo", json!({ "text": "argument-canary" }))
}

#[tokio::test]
async fn an_operator_with_the_role_runs_what_the_policy_allows_and_is_audited() {
    let files = Files::new(POLICY);
    let stream = files.path("audit.jsonl");
    let proxy = setup(&files).env("AUDIT_LOG", stream.to_str().unwrap()).start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    let ops = page(&proxy, "ops-key-canary");
    ops.lists(&["echo", "sleep"]).await;
    let answer = ops.request(echo()).await;
    assert_eq!(answer.text(), "argument-canary");
    let mut slow = ops.start(McpRequest::tool(2, "sleep", sleep_args(0.2, 2)).progress(7)).await;
    assert_eq!(slow.next().await.unwrap()["params"]["progressToken"], 7);
    assert_eq!(slow.finish().await.result()["isError"], json!(null));
    let call = line(&stream, "call", json!({ "tool": "echo", "outcome": "ok" })).await;
    assert_eq!(call["client_key_id"], key_id("ops-key-canary")[..32], "{call}");
    // What no rule allows is as if it were not there.
    assert_eq!(ops.call("fail", json!({ "message": "m" })).await.kind(), "unknown_tool");
    line(&stream, "request_denied", json!({ "name": "fail", "client_key": "ops" })).await;
    // An operators' key still is none of a client.
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer ops-key-canary");
    assert_eq!(client.request(echo()).await.kind(), "key_forbidden");
    let headers = [("authorization".to_owned(), "Bearer ops-key-canary".to_owned())];
    let ask = request(Method::GET, "/api/v1/status", &headers, Vec::new());
    let mut exchange = harness::http::Exchange::start(proxy.http, ask).await;
    let status = String::from_utf8(exchange.rest().await).unwrap();
    assert!(status.contains("\"client\":\"ops\""), "the call is shown as the operator's: {status}");
    let audit = std::fs::read_to_string(&stream).unwrap();
    for (place, text) in [("status", &status), ("audit", &audit), ("log", &proxy.log.text())] {
        assert!(!text.contains("canary"), "{place}: {text}");
    }
}

#[tokio::test]
async fn without_the_role_nothing_runs_and_the_refusal_says_what_to_do() {
    let files = Files::new(POLICY);
    let proxy = setup(&files).start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    page(&proxy, "ops-key-canary").lists(&["echo", "sleep"]).await;
    let refused = page(&proxy, "dev-key-canary").request(echo()).await;
    assert_eq!((refused.status, refused.kind()), (403, "forbidden"));
    let message = refused.error()["message"].as_str().unwrap();
    assert!(message.contains("the role operate in the section operators of POLICY"), "{message}");
    assert!(!message.contains("canary"));
    assert_eq!(page(&proxy, "key-of-guest").request(echo()).await.kind(), "key_forbidden");
    assert_eq!(page(&proxy, "wrong").request(echo()).await.status, 401);
    files.change(&proxy, &POLICY.replace("operate: { key: ops }", "operate: { key: nobody }")).await;
    assert_eq!(page(&proxy, "ops-key-canary").request(echo()).await.kind(), "forbidden");
    // The role is never implied, not even where everybody who is let in may read all.
    files.change(&proxy, "allow: [{ who: anyone }]\n").await;
    assert_eq!(page(&proxy, "ops-key-canary").request(echo()).await.kind(), "forbidden");
    let open = Setup::proxy().env("UI", "full").start_proxy().await;
    assert_eq!(page(&open, "any").request(echo()).await.kind(), "forbidden");
    open.log.wait_for("nobody may operate").await;
}

#[tokio::test]
async fn pages_of_other_origins_run_nothing() {
    let files = Files::new(POLICY);
    let proxy =
        setup(&files).env("ALLOWED_ORIGINS", "https://other.example,http://127.0.0.1").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    let ops = || page(&proxy, "ops-key-canary");
    ops().lists(&["echo", "sleep"]).await;
    let bare =
        Client::modern(proxy.http).on_path("/ui/mcp").with_header("authorization", "Bearer ops-key-canary");
    let message = bare.request(echo()).await.error()["message"].to_string();
    assert!(message.contains("x-mcp-relay-command"), "{message}");
    for (origin, site, status) in [
        ("http://127.0.0.1", None, 200),
        ("http://127.0.0.1", Some("same-origin"), 200),
        ("https://other.example", Some("cross-site"), 403),
        ("https://other.example", None, 403),
        ("http://127.0.0.1", Some("same-site"), 403),
        ("http://evil.example", Some("same-origin"), 403),
    ] {
        let client = ops().with_header("origin", origin);
        let client = match site {
            Some(site) => client.with_header("sec-fetch-site", site),
            None => client,
        };
        assert_eq!(client.request(echo()).await.status, status, "{origin} {site:?}");
    }
    // A preflight is never granted, so that no other page can send the header.
    let headers = [
        ("origin".to_owned(), "https://other.example".to_owned()),
        ("access-control-request-method".to_owned(), "POST".to_owned()),
        ("access-control-request-headers".to_owned(), "x-mcp-relay-command".to_owned()),
    ];
    for path in ["/ui/mcp", "/api/v1/slaves/drain"] {
        let ask = request(Method::OPTIONS, path, &headers, Vec::new());
        let mut exchange = harness::http::Exchange::start(proxy.http, ask).await;
        exchange.head().await;
        assert!(!exchange.status.is_success(), "{path}");
        assert_eq!(exchange.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn a_removed_key_ends_the_operator_s_running_call() {
    let files = Files::new(POLICY);
    let proxy = setup(&files).start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    let ops = page(&proxy, "ops-key-canary");
    ops.lists(&["echo", "sleep"]).await;
    let mut slow = ops.start(McpRequest::tool(2, "sleep", sleep_args(60.0, 600)).progress(7)).await;
    slow.next().await.unwrap();
    std::fs::write(files.path("ops.yaml"), "- { key: another-key, name: other }\n").unwrap();
    let ended = wait::until("its end", async || {
        let next = slow.next().await;
        next.is_none_or(|message| message.get("method").is_none()).then_some(())
    });
    ended.await;
    assert_eq!(ops.request(echo()).await.status, 401);
}

#[tokio::test]
async fn the_way_to_operate_is_there_with_ui_full_only_and_on_the_operators_port() {
    let files = Files::new(POLICY);
    let read_only = setup(&files).env("UI", "1").start_proxy().await;
    for path in ["/ui/operate.js", "/ui/asked.js", "/ui/contents.js", "/ui/form.js"] {
        assert_eq!(get(read_only.http, path).await.0, 404, "{path}");
    }
    assert_eq!(page(&read_only, "ops-key-canary").request(echo()).await.status, 404);
    assert!(!get(read_only.http, "/ui/").await.1.contains("operate.js"));
    let apart = setup(&files).env("OPS_PORT", "0").start_proxy().await;
    let _slave = Setup::slave("one", apart.link).start_slave().await;
    let operators = port(&apart, "Ops server listening on http").await;
    let ops = page(&apart, "ops-key-canary").at(operators);
    ops.lists(&["echo", "sleep"]).await;
    assert_eq!(ops.request(echo()).await.text(), "argument-canary");
    assert_eq!(page(&apart, "ops-key-canary").request(echo()).await.status, 404);
    assert!(get(operators, "/ui/").await.1.contains("operate.js"));
    let headers = [
        ("authorization".to_owned(), "Bearer ops-key-canary".to_owned()),
        ("x-mcp-relay-command".to_owned(), "1".to_owned()),
    ];
    let ask = request(Method::GET, "/ui/mcp", &headers, Vec::new());
    let mut exchange = harness::http::Exchange::start(operators, ask).await;
    exchange.head().await;
    assert_eq!(exchange.status.as_u16(), 405);
    assert!(exchange.header("content-security-policy").contains("default-src 'none'"));
    let slave = Setup::slave("two", apart.link).env("UI", "full").spawn();
    slave.log.wait_for("1 or 0: full is for a proxy").await;
}
