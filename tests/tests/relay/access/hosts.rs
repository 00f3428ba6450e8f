//! Host names: a page whose name was pointed at the server (DNS rebinding) reads nothing.

use harness::client::Client;
use harness::relay::{Setup, port};
use serde_json::json;

use super::{ask, bearer};

const PATHS: [&str; 3] = ["/api/v1/status", "/metrics", "/ui/"];

/// What a browser sends with a page's request to its own site.
fn page(host: &str) -> [(&str, &str); 2] {
    [("host", host), ("sec-fetch-site", "same-origin")]
}

#[tokio::test]
async fn a_foreign_host_reads_neither_tools_nor_operators_endpoints() {
    for ops_port in [None, Some("0")] {
        let setup = Setup::proxy().env("UI", "1").env("OPS_PORT", ops_port.unwrap_or_default());
        let setup = setup.env("MCP_SERVER_HOST", "0.0.0.0").env("PUBLIC_URL", "https://relay.example/mcp");
        let proxy = setup.start_proxy().await;
        let ops = match ops_port {
            None => proxy.http,
            Some(_) => port(&proxy, "Ops server listening on http").await,
        };
        for (host, expected) in [
            ("evil.example", 403),
            ("evil.example:8000", 403),
            ("127.0.0.1.evil.example", 403),
            ("127.0.0.1:8000", 200),
            ("localhost", 200),
            ("proxy:8000", 200),
            ("relay.example", 200),
        ] {
            for path in PATHS {
                for headers in [&page(host)[..], &page(host)[..1]] {
                    let (status, kind) = ask(ops, path, headers).await;
                    assert_eq!(status, expected, "{path} {headers:?}");
                    assert!(status == 200 || kind == "host_forbidden", "{kind}");
                }
            }
            let answer = Client::modern(proxy.http).with_header("host", host).call("echo", json!({})).await;
            assert_eq!(answer.status, expected, "{host}");
            for path in ["/healthz", "/readyz", "/health"] {
                assert_eq!(ask(ops, path, &page(host)).await.0, 200, "{path} {host}");
            }
        }
    }
}

#[tokio::test]
async fn with_keys_any_host_is_served_unless_hosts_are_listed() {
    let setup =
        Setup::proxy().env("AUTH_BEARER_KEYS", "a-key-of-the-tests").env("MCP_SERVER_HOST", "0.0.0.0");
    let key = bearer("a-key-of-the-tests");
    let listed = setup.clone().env("ALLOWED_HOSTS", "relay.example,*.corp.example").start_proxy().await;
    let any = setup.start_proxy().await;
    for (host, allowed) in
        [("relay.example", 200), ("a.corp.example:1", 200), ("evil.example", 403), ("127.0.0.1", 200)]
    {
        for path in ["/metrics", "/api/v1/status"] {
            let headers = [("host", host), ("authorization", key.as_str())];
            assert_eq!(ask(any.http, path, &headers).await.0, 200, "{host}");
            assert_eq!(ask(listed.http, path, &headers).await.0, allowed, "{host}");
        }
        let client =
            |address| Client::modern(address).with_header("host", host).with_header("authorization", &key);
        assert_eq!(client(any.http).call("echo", json!({})).await.status, 200, "{host}");
        assert_eq!(client(listed.http).call("echo", json!({})).await.status, allowed, "{host}");
    }
}
