//! Requests on the slaves' port that are none of slaves: each is told what is expected, and the log does not grow.

use harness::http;
use harness::relay::{Proxy, Setup};
use harness::wait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use harness::metrics::Scrape;

#[tokio::test]
async fn plain_requests_are_told_what_is_expected_and_health_checks_that_all_is_well() {
    let proxy = Setup::proxy().start_proxy().await;
    let upgrade = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 426),
        ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_owned(), 426),
        (format!("GET / HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 8\r\n\r\n"), 426),
        (format!("GET / HTTP/1.1\r\n{upgrade}\r\n"), 426),
        (format!("GET / HTTP/1.1\r\n{}Sec-WebSocket-Version: 13\r\n\r\n", upgrade.replace("dGhl", "x")), 400),
        ("rubbish\r\n\r\n".to_owned(), 400),
    ] {
        let answer = http::raw(proxy.link, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        let names =
            answer.contains("\r\nUpgrade: websocket\r\n") && answer.contains("Sec-WebSocket-Version: 13");
        assert_eq!(names, status == 426, "{request}: {answer}");
        assert_eq!(answer.contains("PROXY_SERVER_URL"), status != 200, "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_large_request_on_the_slaves_port_reads_its_answer() {
    let proxy = Setup::proxy().start_proxy().await;
    let body = "x".repeat(500_000);
    let request = format!("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = http::raw(proxy.link, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

/// Waits until the proxy has counted so many connections that became no link.
async fn failures(proxy: &Proxy, count: f64) {
    wait::until("the probes in the metrics", async || {
        let scrape = Scrape::of(proxy.http).await;
        let failures = |reason| scrape.sum("mcp_relay_link_auth_failures_total", &[reason]);
        (failures("reason=\"closed\"") + failures("reason=\"no_websocket\"") > count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn probes_of_load_balancers_leave_no_line() {
    let proxy = Setup::proxy().env("HANDSHAKE_RATE", "10000").start_proxy().await;
    proxy.log.wait_for("Ready to accept MCP client connections").await;
    let quiet = proxy.log.len();
    for _ in 0..50 {
        // A TCP check; one of HTTP.
        drop(TcpStream::connect(proxy.link).await.unwrap());
        http::raw(proxy.link, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    failures(&proxy, 49.5).await;
    let text = proxy.log.text();
    assert_eq!(proxy.log.len(), quiet, "{text}");
    // TLS to a port without it is a wrong URL: said once, and counted.
    for _ in 0..50 {
        let mut tls = TcpStream::connect(proxy.link).await.unwrap();
        tls.write_all(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03").await.unwrap();
    }
    failures(&proxy, 99.5).await;
    proxy.log.wait_for("the peer speaks TLS, and this port does not").await;
    assert!(proxy.log.len() <= quiet + 5, "{}", proxy.log.text());
    // A slave is still taken, and still announced by its attempt.
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.log.wait_for("New slave connection attempt").await;
    proxy.offers("echo").await;
}
