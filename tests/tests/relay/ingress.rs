//! Client addresses behind an ingress (`TRUSTED_PROXIES`), and the rate of slave handshakes (`HANDSHAKE_RATE`).

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use harness::client::Client;
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::wait;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

async fn proxy(trusted: &str) -> Proxy {
    Setup::proxy().env("AUTH_BEARER_KEYS", "key").env("TRUSTED_PROXIES", trusted).start_proxy().await
}

/// Log lines of the proxy for a client without a key and a slave with a wrong code, both of which send this header.
async fn refusals(proxy: &Proxy, name: &'static str, value: &'static str) -> (String, String) {
    let before = proxy.log.len();
    let client = Client::modern(proxy.http).with_header(name, value);
    assert_eq!(client.call("echo", json!({})).await.status, 401);
    let client = proxy.log.wait_for_after("Request refused: ", before).await;
    dial_with_wrong_code(proxy.link, name, value).await;
    (client, proxy.log.wait_for_after("Invalid slave code", before).await)
}

/// Dials as a slave with a wrong code, through an ingress that adds a header.
async fn dial_with_wrong_code(address: SocketAddr, name: &'static str, value: &'static str) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    request.headers_mut().insert(name, value.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::text(r#"{"type":"auth","slaveCode":"wrong"}"#)).await.unwrap();
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
}

#[tokio::test]
async fn forwarding_headers_are_ignored_by_default() {
    for header in [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")] {
        // A proxy of its own: further refusals of one second are only counted.
        let proxy = proxy("").await;
        let (client, slave) = refusals(&proxy, header.0, header.1).await;
        for line in [client, slave] {
            assert!(line.contains("127.0.0.1") && !line.contains("6.6.6.6"), "{line}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_earlier_entries_are_ignored() {
    for header in [
        ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 192.0.2.7"),
        ("forwarded", "for=6.6.6.6, for=203.0.113.9;proto=https, for=\"192.0.2.7:99\""),
    ] {
        let proxy = proxy("192.0.2.0/24, 127.0.0.0/8").await;
        let (client, slave) = refusals(&proxy, header.0, header.1).await;
        for line in [client, slave] {
            assert!(line.contains("203.0.113.9") && !line.contains("6.6.6.6"), "{line}");
        }
    }
    // The same header from another network is ignored.
    let (client, _) = refusals(&self::proxy("192.0.2.0/24").await, "x-forwarded-for", "6.6.6.6").await;
    assert!(client.contains("127.0.0.1"), "{client}");
}

#[tokio::test]
async fn connections_over_the_rate_get_a_retry_after() {
    let proxy = Setup::proxy().env("HANDSHAKE_RATE", "1").start_proxy().await;
    let _first = TcpStream::connect(proxy.link).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(proxy.link).await.unwrap();
        let mut answer = String::new();
        // A connection within the rate stays open without an answer for 10 s.
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(2), stream.read_to_string(&mut answer));
        if read.await.is_ok() {
            seen.push(answer);
        }
    }
    assert!(!seen.is_empty(), "some are over the rate of one a second");
    for answer in seen {
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    }
}

#[tokio::test]
async fn slaves_over_the_rate_link_later() {
    let proxy = Setup::proxy().env("HANDSHAKE_RATE", "1").start_proxy().await;
    // All slaves start at once.
    let slaves: Vec<_> = (0..6).map(|n| Setup::slave(&format!("s{n}"), proxy.link).spawn()).collect();
    proxy.accepted(slaves.len()).await;
    let waited = slaves.iter().filter(|slave| slave.log.count("asks to come again later") > 0).count();
    assert!(waited > 0, "six slaves at once are more than one a second");
    wait::until("the refusals in the metrics", async || {
        let scrape = Scrape::of(proxy.http).await;
        (scrape.sum("mcp_relay_link_auth_failures_total", &["reason=\"rate\""]) > 0.9).then_some(())
    })
    .await;
}
