//! Readers that stop: what they hold is bounded, in time by `REQUEST_TIMEOUT_TOTAL`, and in the slave's journal by what others
//! need.

use std::net::SocketAddr;

use harness::client::Client;
use harness::relay::Setup;
use harness::wait;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use harness::metrics::Scrape;

/// Calls `payload` and reads nothing of the answer.
async fn stopped_reader(address: SocketAddr, bytes: usize) -> TcpStream {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "payload", "arguments": { "bytes": bytes } },
    })
    .to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\nMcp-Protocol-Version: 2025-03-26\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn results_that_nobody_reads_give_way_to_those_that_are_read() {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("one", proxy.link).env("SLAVE_JOURNAL_BYTES", "33554432").start_slave().await;
    proxy.offers("payload").await;
    let bytes = 7 << 20;
    let mut stopped = Vec::new();
    for _ in 0..4 {
        stopped.push(stopped_reader(proxy.http, bytes).await);
    }
    wait::until("their results in the slave's journal", async || {
        let held = Scrape::of(slave.http).await.sum("mcp_relay_slave_journal_bytes", &[]);
        (held > 20e6).then_some(())
    })
    .await;
    wait::until("the calls to count as unread, and not as in flight", async || {
        let scrape = Scrape::of(proxy.http).await;
        let (unread, busy) =
            (scrape.sum("mcp_relay_calls_unread", &[]), scrape.sum("mcp_relay_calls_in_flight", &[]));
        (unread > 3.5 && busy < 0.5).then_some(())
    })
    .await;
    let client = Client::modern(proxy.http);
    wait::until("a result for somebody who reads", async || {
        let answer = client.call("payload", json!({ "bytes": bytes })).await;
        let message = answer.messages.last().cloned().unwrap_or_default();
        message["result"].is_object().then_some(())
    })
    .await;
    drop(stopped);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_soon_after_the_longest_time_of_a_call() {
    let times = Setup::proxy().env("REQUEST_TIMEOUT", "3").env("REQUEST_TIMEOUT_TOTAL", "3");
    let proxy = times.start_proxy().await;
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.offers("payload").await;
    let mut stopped = stopped_reader(proxy.http, 32 << 20).await;
    wait::until("the call under way", async || {
        let scrape = Scrape::of(proxy.http).await;
        (scrape.sum("mcp_relay_client_connections", &[]) > 1.5).then_some(())
    })
    .await;
    wait::until("the connection to be given up", async || {
        // The scrape has a connection itself.
        let scrape = Scrape::of(proxy.http).await;
        (scrape.sum("mcp_relay_client_connections", &[]) < 1.5).then_some(())
    })
    .await;
    let mut rest = Vec::new();
    // The default of CLIENT_STALL_TIMEOUT is a minute: longer than this test waits for anything.
    let _ = wait::within("the end of the connection", wait::TIMEOUT, stopped.read_to_end(&mut rest)).await;
    assert!(rest.len() < 32 << 20, "{} bytes", rest.len());
}

#[tokio::test]
async fn streams_send_comments_as_often_as_is_set() {
    let proxy = Setup::proxy().env("SSE_KEEPALIVE", "1").start_proxy().await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let head = "GET /mcp HTTP/1.1\r\nHost: proxy\r\nAccept: text/event-stream\r\nMcp-Protocol-Version: 2025-06-18\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let comments = async {
        let mut piece = [0; 4096];
        while text.matches("\r\n:\n\n\r\n").count() < 4 {
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    // Three further comments after the first: 45 s at the default.
    wait::within("comments", std::time::Duration::from_secs(30), comments).await;
}
