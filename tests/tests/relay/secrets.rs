//! Secrets appear nowhere: not in logs at any level, metrics, errors, or on the wire to a client.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use serde_json::json;

/// Every secret of the test contains this.
const CANARY: &str = "canary";

async fn scene() -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let codes = fixture.folder().join("codes.yaml");
    std::fs::write(&codes, "- {code: file-code-canary-1, name: office}\n- {code: file-code-canary-2}\n")
        .unwrap();
    let audit = |name: &str| fixture.folder().join(name).to_str().unwrap().to_owned();
    let proxy = Setup::proxy()
        .env("AUDIT_LOG", audit("proxy.jsonl"))
        .env("AUDIT_PAYLOADS", "1")
        .env("SLAVE_CODES_FILE", codes.to_str().unwrap())
        .env("LOG_LEVEL", "trace,tungstenite=trace,tungstenite::protocol=trace")
        .env("SLAVE_CODES", "code-canary-1,code-canary-2")
        .env("AUTH_BEARER_KEYS", "bearer-canary")
        .env("SESSION_KEY", "session-key-canary-of-at-least-32-characters")
        .env("GITLAB_TOKEN", "misplaced-canary")
        .env("UI", "1")
        .start_proxy()
        .await;
    let setup = Setup::slave("one", proxy.link)
        .env("LOG_LEVEL", "trace,tungstenite=trace,tungstenite::protocol=trace")
        .env("AUDIT_LOG", audit("slave.jsonl"))
        .env("AUDIT_PAYLOADS", "1")
        .env("SLAVE_CODE", "file-code-canary-1")
        .env("UI", "1")
        .env("AUTH_BEARER_KEYS", "own-bearer-canary")
        .env("GITLAB_TOKEN", "gitlab-canary")
        .env("GITHUB_TOKEN", "github-canary")
        .env("LLM_API_KEY", "llm-canary");
    let slave = fixture.serve_with(setup, &[("FIXTURE_SECRET", "backend-canary-secret")]).start_slave().await;
    proxy.log.wait_for("Slave authenticated successfully").await;
    (proxy, slave, fixture)
}

#[tokio::test]
async fn canaries_appear_nowhere() {
    let (proxy, slave, fixture) = scene().await;
    let trusted = Client::modern(proxy.http).with_header("authorization", "Bearer bearer-canary");
    harness::wait::until("the tools", async || {
        trusted.tool_names().await.contains(&"leak".into()).then_some(())
    })
    .await;
    let mut seen = Vec::new();
    for (tool, arguments) in [
        ("leak", json!({})),
        ("run", run_args("x", 2)),
        ("environment", json!({})),
        ("none", json!({})),
        ("die", json!({})),
    ] {
        seen.push(format!("{:?}", trusted.request(McpRequest::tool(1, tool, arguments).progress(1)).await));
    }
    slave.log.wait_for("the secret is").await;
    // Wrong keys and codes are secrets too: they may be mistyped.
    let mistyped = Client::modern(proxy.http).with_header("authorization", "Bearer mistyped-canary");
    seen.push(format!("{:?}", mistyped.call("run", json!({})).await));
    assert!(harness::plain::node_slave(proxy.link, "wrong-canary").await.is_err());
    proxy.log.wait_for("Invalid slave code").await;
    // Good and bad changes of the file, with the canary in its every part.
    let codes = fixture.folder().join("codes.yaml");
    for (text, expected) in [
        ("- {code: file-code-canary-1, name: lab}\n", "the link stays"),
        ("- {code: [canary], canary: 1, labels: canary, not_after: canary}\n", "cannot be used"),
        ("- canary: \"canary\n", "YAML that can be read"),
        ("canary-1,canary-2\n", "line 1"),
    ] {
        std::fs::write(&codes, text).unwrap();
        proxy.log.wait_for(expected).await;
    }
    for (address, key) in [(proxy.http, "bearer-canary"), (slave.http, "own-bearer-canary")] {
        let shown = ["/api/v1/status", "/api/v1/slaves", "/api/v1/backends", "/api/v1/calls", "/ui/"];
        for path in ["/metrics", "/health", "/healthz", "/readyz", "/nowhere"].into_iter().chain(shown) {
            let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
            let request = http::request(hyper::Method::GET, path, &headers, Vec::new());
            let mut exchange = http::Exchange::start(address, request).await;
            seen.push(String::from_utf8(exchange.rest().await).unwrap());
        }
    }
    seen.push(proxy.log.text());
    seen.push(slave.log.text());
    for name in ["proxy.jsonl", "slave.jsonl"] {
        let text = std::fs::read_to_string(fixture.folder().join(name)).unwrap();
        assert!(text.contains("\"tool\":\"leak\""), "{text}");
        seen.push(text);
    }
    for text in seen {
        let leak = text.lines().find(|line| line.contains(CANARY));
        assert!(leak.is_none(), "leaked: {leak:?}");
    }
}

#[tokio::test]
async fn backends_get_only_what_their_entry_names() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("GITLAB_TOKEN", "x").env("LLM_API_KEY", "x");
    let _slave = fixture.serve(setup).start_slave().await;
    proxy.offers("environment").await;
    let answer = Client::modern(proxy.http).call("environment", json!({})).await;
    let names: Vec<&str> = answer.text().split(' ').collect();
    assert!(names.contains(&"FIXTURE_DIR"), "{names:?}");
    for banned in ["SLAVE_CODE", "GITLAB_TOKEN", "LLM_API_KEY", "PROXY_SERVER_URL", "SLAVE_BACKENDS"] {
        assert!(!names.contains(&banned), "{banned} in {names:?}");
    }
}

#[tokio::test]
async fn the_client_s_key_is_not_passed_to_a_backend() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "client-canary").start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    let client = Client::modern(proxy.http).with_header("authorization", "Bearer client-canary");
    harness::wait::until("the tools", async || {
        client.tool_names().await.contains(&"arguments".into()).then_some(())
    })
    .await;
    let answer = client.call("arguments", json!({ "a": 1 })).await;
    assert!(!answer.text().contains(CANARY), "{}", answer.text());
}

#[tokio::test]
async fn labels_of_metrics_are_bounded_whatever_clients_send() {
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    client.call("echo", json!({ "text": "x" })).await.result();
    let before = Scrape::of(proxy.http).await.text().lines().count();
    for n in 0..60 {
        client.call(&format!("made_up_tool_{n}"), json!({})).await;
        client.request(McpRequest::new(1, &format!("made/up/{n}"), json!({}))).await;
    }
    let scrape = Scrape::of(proxy.http).await;
    let grown = scrape.text().lines().count().saturating_sub(before);
    assert!(!scrape.text().contains("made_up_tool_1"), "a client's word became a label");
    assert!(grown < 100, "{grown} more lines after 120 made-up names");
}
