//! Secrets appear nowhere: not in logs at any level, metrics, API, audit, traces, error bodies, or on the wire to a client;
//! neither as they are nor encoded.

use harness::canary;
use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::http;
use harness::metrics::Scrape;
use harness::otlp::Collector;
use harness::relay::{Proxy, Setup, Slave};
use serde_json::json;

/// Every secret of the test contains this.
const CANARY: &str = "canary";

/// The proxy's variables that hold a secret, and those that make it say as much as it can.
fn telling(setup: Setup, collector: &Collector) -> Setup {
    setup
        .env("LOG_LEVEL", "trace,tungstenite=trace,tungstenite::protocol=trace")
        .env("AUDIT_PAYLOADS", "1")
        .env("UI", "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=collector%2Dcanary")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

async fn scene(collector: &Collector) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let codes = fixture.folder().join("codes.yaml");
    std::fs::write(&codes, "- {code: file-code-canary-1, name: office}\n- {code: file-code-canary-2}\n")
        .unwrap();
    let audit = |name: &str| fixture.folder().join(name).to_str().unwrap().to_owned();
    let proxy = telling(Setup::proxy(), collector)
        .env("AUDIT_LOG", audit("proxy.jsonl"))
        .env("SLAVE_CODES_FILE", codes.to_str().unwrap())
        .env("SLAVE_CODES", "code-canary-1,code-canary-2")
        .env("AUTH_BEARER_KEYS", "bearer-canary")
        .env("SESSION_KEY", "session-key-canary-of-at-least-32-characters")
        .env("GITLAB_TOKEN", "misplaced-canary")
        .start_proxy()
        .await;
    let setup = telling(Setup::slave("one", proxy.link), collector)
        .env("AUDIT_LOG", audit("slave.jsonl"))
        .env("SLAVE_CODE", "file-code-canary-1")
        .env("AUTH_BEARER_KEYS", "own-bearer-canary")
        .env("GITLAB_TOKEN", "gitlab-canary")
        .env("GITHUB_TOKEN", "github-canary")
        .env("LLM_API_KEY", "llm-canary");
    let slave = fixture.serve_with(setup, &[("FIXTURE_SECRET", "backend-canary-secret")]).start_slave().await;
    proxy.log.wait_for("Slave authenticated successfully").await;
    (proxy, slave, fixture)
}

/// Makes calls that succeed, fail and are refused, and returns what clients got.
async fn calls(proxy: &Proxy) -> Vec<String> {
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
    // Wrong keys and codes are secrets too: they may be mistyped.
    let mistyped = Client::modern(proxy.http).with_header("authorization", "Bearer mistyped-canary");
    seen.push(format!("{:?}", mistyped.call("run", json!({})).await));
    assert!(harness::plain::node_slave(proxy.link, "wrong-canary").await.is_err());
    proxy.log.wait_for("Invalid slave code").await;
    seen
}

/// Good and bad changes of the file of codes, with the canary in its every part.
async fn change_codes(proxy: &Proxy, codes: &std::path::Path) {
    for (text, expected) in [
        ("- {code: file-code-canary-1, name: lab}\n", "the link stays"),
        ("- {code: [canary], canary: 1, labels: canary, not_after: canary}\n", "cannot be used"),
        ("- canary: \"canary\n", "YAML that can be read"),
        ("canary-1,canary-2\n", "line 1"),
    ] {
        std::fs::write(codes, text).unwrap();
        proxy.log.wait_for(expected).await;
    }
}

/// What the endpoints of a server answer with its key, without one, and with keys where none belong.
async fn answers(address: std::net::SocketAddr, key: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let shown = [
        "/api/v1/status",
        "/api/v1/slaves",
        "/api/v1/backends",
        "/api/v1/calls",
        "/api/v1/catalog",
        "/api/v1/logs",
        "/api/v1/guards",
        "/ui/",
    ];
    let others = ["/metrics", "/health", "/healthz", "/readyz", "/nowhere", "/mcp?key=query-canary"];
    for path in others.into_iter().chain(shown) {
        for value in [format!("Bearer {key}"), "Basic mistyped-canary".to_owned(), String::new()] {
            // With a key this is a stream without an end.
            if path.starts_with("/mcp") && value.starts_with("Bearer") {
                continue;
            }
            let headers =
                [("authorization".to_owned(), value), ("x-api-key".to_owned(), "other-canary".to_owned())];
            let request = http::request(hyper::Method::GET, path, &headers, Vec::new());
            let mut exchange = http::Exchange::start(address, request).await;
            seen.push(String::from_utf8(exchange.rest().await).unwrap());
        }
    }
    seen
}

#[tokio::test]
async fn canaries_appear_nowhere() {
    let collector = Collector::http().await;
    let (proxy, slave, fixture) = scene(&collector).await;
    let mut seen = calls(&proxy).await;
    slave.log.wait_for("the secret is").await;
    change_codes(&proxy, &fixture.folder().join("codes.yaml")).await;
    seen.extend(answers(proxy.http, "bearer-canary").await);
    seen.extend(answers(slave.http, "own-bearer-canary").await);
    seen.push(proxy.log.text());
    seen.push(slave.log.text());
    for name in ["proxy.jsonl", "slave.jsonl"] {
        let text = std::fs::read_to_string(fixture.folder().join(name)).unwrap();
        assert!(text.contains("\"tool\":\"leak\""), "{text}");
        seen.push(text);
    }
    harness::wait::until("spans of both", async || {
        let spans = collector.spans();
        ["mcp-relay-proxy", "mcp-relay-slave"]
            .into_iter()
            .all(|service| spans.iter().any(|span| span.service == service))
            .then_some(())
    })
    .await;
    seen.push(collector.raw());
    for text in seen {
        let leak = canary::find(&text, CANARY);
        assert!(leak.is_none(), "leaked: {leak:?}");
    }
}

#[test]
fn the_search_finds_a_canary_in_each_encoding() {
    for hidden in [
        "a canary",
        "hex 63616e617279",
        "HEX 6D7963616E617279",
        "percent my%2D%63anar%79",
        "json my\\u002d\\u0063anary",
        "bytes [109, 99, 97, 110, 97, 114, 121]",
        // The word alone, and behind one and two other bytes.
        "Y2FuYXJ5",
        "LWNhbmFyeS0x",
        "eC1jYW5hcnk",
        // The whole of a key with neighbours, in the URL alphabet.
        "YmVhcmVyLWNhbmFyeT8_",
    ] {
        assert!(canary::find(hidden, CANARY).is_some(), "{hidden}");
    }
    for other in ["", "can\u{a0}ary", "63616e6172", "Y2FuYX", "%63%6", "\\u006"] {
        assert_eq!(canary::find(other, CANARY), None, "{other}");
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
