//! Bodies that are refused: clients that write all of a request before they read get to read the reason.

use std::net::SocketAddr;
use std::time::Duration;

use harness::relay::{Setup, port};
use harness::{http, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Larger than the buffers of both sockets, and than `MAX_BODY_BYTES`.
const BODY: usize = 20 << 20;

const TYPED: &str = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";

/// Writes the whole request, then reads the whole answer, as simple clients do.
async fn write_then_read(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(64 << 10) {
        let wrote = wait::within("the server to read", wait::TIMEOUT, stream.write_all(piece)).await;
        wrote.unwrap_or_else(|error| panic!("{error} while writing after {head}"));
    }
    let mut answer = String::new();
    wait::within("the answer", wait::TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn whoever_writes_everything_first_reads_the_reason() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key").env("OPS_PORT", "0").start_proxy().await;
    let ops = port(&proxy, "Ops server listening on http").await;
    let key = "Authorization: Bearer key\r\n";
    let body = vec![b' '; BODY];
    for (target, headers, status) in [
        ("/mcp", format!("{key}{TYPED}"), "413"),
        ("/mcp", TYPED.to_owned(), "401"),
        ("/nowhere", format!("{key}{TYPED}"), "404"),
        ("/mcp", format!("{key}Content-Type: text/plain\r\n"), "415"),
        ("/mcp", format!("{key}{TYPED}Origin: http://evil.example\r\n"), "403"),
        ("/mcp", format!("{key}{TYPED}Host: second\r\n"), "400"),
        ("/health", format!("{key}{TYPED}"), "405"),
    ] {
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {BODY}\r\n\r\n");
        let answer = write_then_read(proxy.http, &head, &body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.contains(r#""kind":""#), "{answer}");
    }
    // The same in chunks, where the size is not known before.
    let head =
        format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}{TYPED}Transfer-Encoding: chunked\r\n\r\n");
    let chunked = [format!("{BODY:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let answer = write_then_read(proxy.http, &head, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // The operators' port.
    let head =
        format!("POST /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n{TYPED}Content-Length: {BODY}\r\n\r\n");
    let answer = write_then_read(ops, &head, &body).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_refused_without_it() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key").start_proxy().await;
    for (target, headers, status) in [
        ("/mcp", format!("Authorization: Bearer key\r\n{TYPED}"), "413"),
        ("/mcp", TYPED.to_owned(), "401"),
        ("/nowhere", TYPED.to_owned(), "404"),
    ] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Expect: 100-continue\r\nContent-Length: {BODY}\r\n\r\n"
        );
        let answer = http::raw(proxy.http, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert!(!answer.contains("100 Continue"), "{answer}");
    }
    // A body that is wanted is asked for.
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer key\r\n{TYPED}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    wait::within("100 Continue", wait::TIMEOUT, stream.read_exact(&mut begin)).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 100");
}

#[tokio::test]
async fn a_small_body_that_is_refused_leaves_the_connection_open() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key").start_proxy().await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    for _ in 0..3 {
        let head = format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{TYPED}Content-Length: 4\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        wait::delay(Duration::from_millis(20)).await;
        stream.write_all(b"null").await.unwrap();
        let mut answer = vec![0; 4096];
        let read = wait::within("an answer", wait::TIMEOUT, stream.read(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_sends_for_ever_is_left() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let head = "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1 << 20];
    let mut sent = 0;
    let writing = async {
        while stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
    };
    wait::within("the server to close", wait::TIMEOUT, writing).await;
    assert!(sent < 256 << 20, "{sent} bytes taken of a refused body");
}
