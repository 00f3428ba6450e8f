//! Clients that take nothing of their responses, and clients with too many streams.

use harness::client::{Client, LEGACY};
use harness::http::{Exchange, request};
use harness::relay::{Setup, pair};
use harness::wait;
use hyper::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::witness::{Witness, sum};

/// Larger than the buffers of a socket, so that the server has something left to write.
const TEXT: usize = 6 << 20;

/// Clients that read nothing.
const STALLED: usize = 8;

#[tokio::test]
async fn clients_that_take_nothing_are_closed_and_hold_no_more_than_their_windows() {
    let proxy = Setup::proxy().env("CLIENT_STALL_TIMEOUT", "3").start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let before = proxy.resident();
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "echo",
            "arguments": { "text": "x".repeat(TEXT) },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "stalled", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    })
    .to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\nMcp-Name: echo\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let witness = Witness::start(Client::modern(proxy.http), proxy.pid());
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(proxy.http).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    wait::until("all of them to be closed", async || {
        let closed = sum(proxy.http, "mcp_relay_client_refusals_total", &["reason=\"stalled\""]).await;
        (closed > f64::from(u8::try_from(STALLED).unwrap()) - 0.5).then_some(())
    })
    .await;
    let memory = witness.finish().await;
    // The budget of bodies bounds what is sent; what is not taken is one window for each call.
    assert!(memory < before + (160 << 20), "{before} bytes before, {memory} bytes with stalled readers");
    drop(stalled);
}

#[tokio::test]
async fn streams_of_one_client_are_bounded_and_another_client_has_its_own() {
    let keys = "key-of-the-first-client,key-of-the-other-client";
    let setup = Setup::proxy().env("MAX_STREAMS_PER_CLIENT", "5").env("AUTH_BEARER_KEYS", keys);
    let proxy = setup.start_proxy().await;
    let listen = async |key: &str| {
        let headers = [
            ("accept", "text/event-stream"),
            ("mcp-protocol-version", LEGACY),
            ("authorization", &format!("Bearer {key}")),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut exchange =
            Exchange::start(proxy.http, request(Method::GET, "/mcp", &headers, Vec::new())).await;
        exchange.head().await;
        exchange
    };
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(listen("key-of-the-first-client").await);
    }
    assert!(open.iter().all(|stream| stream.status.as_u16() == 200), "{:?}", open[0].status);
    let mut refused = listen("key-of-the-first-client").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "1"));
    let text = String::from_utf8(refused.rest().await).unwrap();
    assert!(text.contains("\"client_limit\"") && text.contains("MAX_STREAMS_PER_CLIENT"), "{text}");
    assert_eq!(listen("key-of-the-other-client").await.status.as_u16(), 200);
    open.pop();
    wait::until("the place of a closed stream", async || {
        (listen("key-of-the-first-client").await.status.as_u16() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_under_way_are_not_limited_by_streams_that_ended() {
    let (proxy, _slave) = pair().await;
    let witness = Witness::start(Client::modern(proxy.http), proxy.pid());
    witness.finish().await;
    wait::until("no stream to be left", async || {
        (sum(proxy.http, "mcp_relay_client_streams", &[]).await < 0.5).then_some(())
    })
    .await;
}
