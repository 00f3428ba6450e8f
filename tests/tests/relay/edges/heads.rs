//! Heads of requests: paths, hosts, codings and limits, on the clients' port and on that of operators.

use harness::client::Client;
use harness::http;
use harness::relay::{Setup, pair, port};
use serde_json::Value;

/// The status and the kind of failure of an answer.
fn told(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    (status, body["error"]["data"]["kind"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_path_makes_no_difference() {
    let (proxy, slave) = pair().await;
    for address in [proxy.http, slave.http] {
        for path in ["/mcp", "/mcp/", "/", "/messages", "/messages/", "/sse", "/sse/"] {
            let client = Client::legacy_on(address, path, "2025-06-18").await;
            let answer = client.call("echo", serde_json::json!({ "text": path })).await;
            assert_eq!((answer.status, answer.text()), (200, path), "{path}");
        }
        for path in ["/health/", "/healthz/", "/readyz/", "/metrics/"] {
            let (status, text) = http::get(address, path).await;
            let (expected, same) = http::get(address, path.trim_end_matches('/')).await;
            assert_eq!((status, expected), (200, 200), "{path}");
            // The order of metrics varies.
            assert_eq!(text.split(' ').next(), same.split(' ').next(), "{path}");
        }
        for path in ["/mcp//", "/mcp/x", "/healthz//"] {
            assert_eq!(http::get(address, path).await.0, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn requests_that_break_the_rules_of_http_are_told_which() {
    let proxy = Setup::proxy().env("OPS_PORT", "0").start_proxy().await;
    let ops = port(&proxy, "Ops server listening on http").await;
    let many = "x-many: 1\r\n".repeat(101);
    let large = format!("x-large: {}\r\n", "y".repeat(70_000));
    let target = "z".repeat(65_600);
    for (head, expected) in [
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), (400, "bad_http")),
        ("GET /mcp HTTP/1.1\r\n\r\n".to_owned(), (400, "bad_http")),
        ("POST /mcp HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}".to_owned(), (400, "bad_http")),
        ("GET /mcp HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), (400, "bad_http")),
        ("GET /mcp HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n".to_owned(), (400, "bad_http")),
        ("GET http://a/mcp HTTP/1.1\r\n\r\n".to_owned(), (400, "bad_http")),
        (
            "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
            (501, "unsupported_coding"),
        ),
        (
            "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            (501, "unsupported_coding"),
        ),
        (format!("GET /mcp HTTP/1.1\r\nHost: a\r\n{many}\r\n"), (431, "head_too_large")),
        (format!("GET /mcp HTTP/1.1\r\nHost: a\r\n{large}\r\n"), (431, "head_too_large")),
        (format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n"), (414, "target_too_long")),
        ("GET /mcp HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), (400, "bad_http")),
        ("G(T /mcp HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), (400, "bad_http")),
        ("\x16\x03\x01\x02\x03\x01\x02\x03\x01\r\n\r\n".to_owned(), (400, "bad_http")),
    ] {
        let shown: String = head.chars().take(80).collect();
        // A head without fault in the head itself leaves the connection open.
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", usize::from(head.contains(" HTTP/")));
        for address in [proxy.http, ops] {
            let answer = http::raw(address, head.as_bytes()).await;
            let (status, kind) = told(&answer);
            assert_eq!((status, kind.as_str()), expected, "{shown:?}: {answer}");
        }
    }
    // HTTP/1.0 has no Host, as some health checks.
    for address in [proxy.http, ops] {
        let answer = http::raw(address, b"GET /health HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let absolute =
            b"GET http://127.0.0.1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        assert!(http::raw(address, absolute).await.starts_with("HTTP/1.1 200 "));
    }
}

/// The number of responses in what a connection said.
fn responses(said: &str) -> usize {
    said.match_indices("HTTP/1.1 ")
        .filter(|(at, start)| said[at + start.len()..].starts_with(char::is_numeric))
        .count()
}

/// A GET with both headers, in either order, for `path`.
fn with_two_lengths(path: &str) -> [String; 3] {
    let of = |lengths: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lengths}\r\n0\r\n\r\n");
    [
        of("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        of("Transfer-Encoding: chunked\r\ncontent-length:5\r\n"),
        of("Content-Length: 5\r\nX-A: b\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n"),
    ]
}

#[tokio::test]
async fn a_body_with_two_lengths_is_refused_and_the_connection_ends() {
    let proxy = Setup::proxy().env("OPS_PORT", "0").start_proxy().await;
    let ops = port(&proxy, "Ops server listening on http").await;
    let plain = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    for address in [proxy.http, ops] {
        for head in with_two_lengths("/health") {
            // Without Connection: close: it is the server that ends the connection, and takes no more requests from it.
            let answer = http::raw(address, format!("{head}{plain}").as_bytes()).await;
            assert_eq!(told(&answer), (400, "bad_http".to_owned()), "{head:?}: {answer}");
            assert_eq!(responses(&answer), 1, "{head:?}: {answer}");
        }
    }
    // One length alone, in a request that is read, leaves the connection open.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let chunked = format!(
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len(),
    );
    let close = plain.replacen("Host", "Connection: close\r\nHost", 1);
    let answer = http::raw(proxy.http, format!("{chunked}{close}").as_bytes()).await;
    assert_eq!(responses(&answer), 2, "{answer}");
    // Where it comes in one piece with the request before it, its head was not seen: it is answered, but nothing after it.
    let answer = http::raw(proxy.http, format!("{plain}{chunked}{plain}").as_bytes()).await;
    assert_eq!(responses(&answer), 2, "{answer}");
    assert_eq!(answer.to_ascii_lowercase().matches("connection: close").count(), 1, "{answer}");
}

#[tokio::test]
async fn pages_may_read_the_headers_that_browser_clients_need() {
    let (proxy, _slave) = pair().await;
    let request = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\nConnection: close\r\n\
                    Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 2\r\n\r\n{}";
    let answer = http::raw(proxy.http, request).await.to_ascii_lowercase();
    let exposed = answer.lines().find(|line| line.starts_with("access-control-expose-headers:")).unwrap();
    for name in ["mcp-session-id", "mcp-protocol-version", "www-authenticate", "retry-after"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}
