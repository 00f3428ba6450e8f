//! The way to the status page, and what the status document says for it. The page itself is tested in a browser
//! (`tests/ui`).

use std::net::SocketAddr;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::http::{Exchange, get, request};
use harness::relay::{Setup, port};
use harness::tls::Authority;
use harness::wait;
use hyper::Method;
use serde_json::{Value, json};

/// The `Accept` of browsers.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Status and `Location` of a request to `/`.
async fn root(address: SocketAddr, method: Method, accept: &str) -> (u16, String) {
    let headers = [("accept".to_owned(), accept.to_owned())];
    let mut exchange = Exchange::start(address, request(method, "/", &headers, Vec::new())).await;
    exchange.head().await;
    (exchange.status.as_u16(), exchange.header("location").to_owned())
}

async fn status(address: SocketAddr) -> Value {
    document(address, "status").await
}

async fn document(address: SocketAddr, name: &str) -> Value {
    let (status, text) = get(address, &format!("/api/v1/{name}")).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn browsers_are_led_to_the_page_and_clients_of_mcp_are_not() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let slave = Setup::slave("berlin", proxy.link).env("UI", "1").start_slave().await;
    for address in [proxy.http, slave.http] {
        assert_eq!(root(address, Method::GET, BROWSER).await, (307, "ui/".into()));
        assert_eq!(root(address, Method::HEAD, BROWSER).await, (307, "ui/".into()));
        for (method, accept) in [
            (Method::GET, "text/event-stream"),
            (Method::GET, "application/json, text/event-stream"),
            (Method::GET, "*/*"),
            (Method::POST, BROWSER),
            (Method::DELETE, BROWSER),
        ] {
            let (status, location) = root(address, method.clone(), accept).await;
            assert!(status != 307 && location.is_empty(), "{method} {accept}: {status}");
        }
    }
    let plain = Setup::proxy().start_proxy().await;
    assert_ne!(root(plain.http, Method::GET, BROWSER).await.0, 307, "there is no page without UI=1");
    let apart = Setup::proxy().env("UI", "1").env("OPS_PORT", "0").start_proxy().await;
    assert_ne!(root(apart.http, Method::GET, BROWSER).await.0, 307, "the page is on the other port");
    let operators = port(&apart, "Ops server listening on http").await;
    assert_eq!(root(operators, Method::GET, BROWSER).await, (307, "ui/".into()));
}

#[tokio::test]
async fn errors_of_calls_are_told_without_a_word_of_the_backend() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let fixture = Fixture::default();
    let slave =
        fixture.serve_with(Setup::slave("berlin", proxy.link).env("UI", "1"), &[]).start_slave().await;
    proxy.offers("die").await;
    let client = Client::modern(proxy.http);
    client.call("count", json!({ "name": "argument-canary" })).await;
    client.call("die", json!({ "name": "argument-canary" })).await;
    for address in [proxy.http, slave.http] {
        let found = wait::until("both calls", async || {
            Some(status(address).await)
                .filter(|found| found["calls"]["recent"].as_array().unwrap().len() >= 2)
        })
        .await;
        let recent = found["calls"]["recent"].as_array().unwrap();
        let died = recent.iter().find(|call| call["tool"] == "die").unwrap();
        assert_eq!(died["error"]["text"], "The backend died or could not be reached", "{died}");
        assert!(died["error"]["advice"].as_str().unwrap().contains("standard error"), "{died}");
        for call in recent {
            assert_eq!(call["error"].is_null(), call["outcome"] == "ok", "{call}");
        }
        assert!(!found["calls"].to_string().contains("canary"), "{found}");
    }
}

#[tokio::test]
async fn keys_and_tls_of_each_port_are_told() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost", "127.0.0.1"]);
    let proxy = Setup::proxy()
        .env("TLS_CERT", own.cert.to_str().unwrap())
        .env("TLS_KEY", own.key.to_str().unwrap())
        .env("OPS_PORT", "0")
        .env("TLS_OPS", "0")
        .env("AUTH_BEARER_KEYS", "client-canary")
        .start_proxy()
        .await;
    let operators = port(&proxy, "Ops server listening on http").await;
    let headers = [("authorization".to_owned(), "Bearer client-canary".to_owned())];
    let ask = request(Method::GET, "/api/v1/status", &headers, Vec::new());
    let mut exchange = Exchange::start(operators, ask).await;
    let text = String::from_utf8(exchange.rest().await).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["tls"], json!({ "clients": "on", "slaves": "on", "operators": "off" }));
    assert_eq!(
        (&found["access"]["clients"], &found["access"]["operators"]),
        (&json!("own keys"), &json!("client keys"))
    );
    assert!(!text.contains("canary"));
    let plain = Setup::proxy().start_proxy().await;
    let found = status(plain.http).await;
    assert_eq!(found["tls"], json!({ "clients": "off", "slaves": "off", "operators": "off" }));
    let slave = Setup::slave("berlin", plain.link).start_slave().await;
    assert_eq!(status(slave.http).await["tls"], json!({ "clients": "off", "operators": "off" }));
}

#[tokio::test]
async fn certificates_are_named_with_their_ports_and_names() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost", "127.0.0.1"]);
    let secured = Setup::proxy()
        .env("UI", "1")
        .env("TLS_CERT", own.cert.to_str().unwrap())
        .env("TLS_KEY", own.key.to_str().unwrap())
        .env("OPS_PORT", "0")
        .env("TLS_OPS", "0")
        .start_proxy()
        .await;
    let operators = port(&secured, "Ops server listening on http").await;
    let certificates = document(operators, "guards").await["certificates"]["list"].clone();
    let ports: Vec<&str> =
        certificates.as_array().unwrap().iter().filter_map(|one| one["port"].as_str()).collect();
    assert_eq!(ports, ["clients", "slaves"], "{certificates}");
    assert_eq!(certificates[0]["names"], json!(["localhost", "127.0.0.1"]), "{certificates}");
}

#[tokio::test]
async fn catalog_log_and_guards_are_there_with_the_page_only() {
    let proxy = Setup::proxy().env("UI", "1").start_proxy().await;
    let fixture = Fixture::default();
    let slave =
        fixture.serve_with(Setup::slave("berlin", proxy.link).env("UI", "1"), &[]).start_slave().await;
    proxy.offers("count").await;
    let client = Client::modern(proxy.http);
    client.call("count", json!({ "name": "argument-canary" })).await;
    client.call("die", json!({ "name": "argument-canary" })).await;
    for (address, provider) in
        [(proxy.http, json!({ "providers": ["berlin"] })), (slave.http, json!({ "backend": "fixture" }))]
    {
        let row = |found: &Value, name: &str| {
            found["entries"]["list"]
                .as_array()
                .unwrap()
                .iter()
                .find(|row| row["name"] == name)
                .unwrap()
                .clone()
        };
        let found = wait::until("both calls", async || {
            Some(document(address, "catalog").await).filter(|found| row(found, "die")["calls"] == 1)
        })
        .await;
        let (count, die) = (row(&found, "count"), row(&found, "die"));
        assert_eq!((&count["calls"], &count["errors"], &die["errors"]), (&json!(1), &json!(0), &json!(1)));
        assert!(count["p50Ms"].as_f64().unwrap() > 0.0 && count["p50Ms"].as_f64() <= count["p99Ms"].as_f64());
        assert!(count["definition"]["inputSchema"].is_object(), "{count}");
        for (member, value) in provider.as_object().unwrap() {
            assert_eq!(&count[member], value, "{count}");
        }
        let log = document(address, "logs").await;
        let lines: Vec<&str> =
            log["list"].as_array().unwrap().iter().filter_map(|line| line["text"].as_str()).collect();
        assert!(lines.iter().any(|line| line.contains("MCP server listening")), "{log}");
        assert!(!log.to_string().contains("canary") && !found.to_string().contains("canary"));
    }
    let guards = document(proxy.http, "guards").await;
    assert_eq!((&guards["certificates"]["total"], &guards["policy"]["enabled"]), (&json!(0), &json!(false)));
    let plain = Setup::proxy().start_proxy().await;
    for path in ["catalog", "logs", "guards"] {
        assert_eq!(get(plain.http, &format!("/api/v1/{path}")).await.0, 404, "{path}");
    }
}
