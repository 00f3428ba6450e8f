//! Peers on the link port that break the rules, before and after authentication. None may affect other peers.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use harness::client::Client;
use harness::frames::{CallId, Flags, Frame, FrameKind, HEADER_LEN, MAX_AUTH, MAX_BATCH};
use harness::rawslave::{RawSlave, Received, definition, dial, dial_with_small_buffer};
use harness::relay::{CODE, Proxy, Setup, Slave};
use harness::{http, wait};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn proxy_with_witness() -> (Proxy, Slave) {
    let proxy = Setup::proxy().start_proxy().await;
    let slave = Setup::slave("witness", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    (proxy, slave)
}

async fn still_serves(proxy: &Proxy, what: &str) {
    let answer = Client::modern(proxy.http).call("echo", json!({ "text": what })).await;
    assert_eq!(answer.text(), what);
}

#[tokio::test]
async fn a_silent_peer_is_closed_with_4000_after_ten_seconds() {
    let (proxy, _witness) = proxy_with_witness().await;
    let since = Instant::now();
    let mut silent = dial(proxy.link).await;
    let mut lonely = TcpStream::connect(proxy.link).await.unwrap();
    assert_eq!(silent.close_code().await, Some(4000));
    let took = since.elapsed();
    assert!(took >= Duration::from_secs(9), "closed after {took:?}");
    // A connection that requests no WebSocket is closed too.
    let mut answer = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut lonely, &mut answer);
    let _ = wait::within("the lonely connection to be closed", wait::TIMEOUT, end).await;
    still_serves(&proxy, "after silence").await;
}

#[tokio::test]
async fn a_first_message_that_is_no_auth_is_closed_with_4003() {
    let (proxy, _witness) = proxy_with_witness().await;
    for text in [
        "",
        "hello",
        "{}",
        "[]",
        r#"{"type":"hello"}"#,
        r#"{"type":"auth"}"#,
        r#"{"type":"auth","slaveCode":7}"#,
    ] {
        let mut peer = dial(proxy.link).await;
        peer.text(text.into()).await;
        assert_eq!(peer.close_code().await, Some(4003), "{text:?}");
    }
    let mut binary = dial(proxy.link).await;
    binary.send(Frame::bare(FrameKind::Drain, CallId::LINK, 0)).await;
    assert_eq!(binary.close_code().await, Some(4003), "binary");
    let mut long = dial(proxy.link).await;
    long.text(format!(r#"{{"type":"auth","slaveCode":"{}"}}"#, "c".repeat(MAX_AUTH))).await;
    let code = long.close_code().await;
    assert!(matches!(code, Some(4003 | 1009) | None), "{code:?}");
    still_serves(&proxy, "after no auth").await;
}

#[tokio::test]
async fn a_wrong_code_is_answered_and_closed_with_4002() {
    let (proxy, _witness) = proxy_with_witness().await;
    for code in ["", "wrong", &CODE.to_uppercase(), &CODE[1..], &format!("{CODE},{CODE}")] {
        let mut peer = dial(proxy.link).await;
        peer.text(json!({ "type": "auth", "slaveCode": code }).to_string()).await;
        let Received::Text(reply) = peer.receive().await else { panic!("an answer to {code:?}") };
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&reply).unwrap(),
            json!({ "type": "auth_failed", "message": "Invalid slave code" })
        );
        assert_eq!(peer.close_code().await, Some(4002), "{code:?}");
    }
    proxy.log.wait_for("[PROXY] Invalid slave code").await;
}

#[tokio::test]
async fn an_unauthenticated_flood_costs_no_memory() {
    // The rate limit lets every connection in.
    let proxy = Setup::proxy().env("HANDSHAKE_RATE", "10000").start_proxy().await;
    let _witness = Setup::slave("witness", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let before = proxy.resident();
    for _ in 0..4 {
        let mut peer = dial(proxy.link).await;
        let huge = Bytes::from(vec![b'a'; 32 << 20]);
        peer.binary(huge).await;
        let _ = peer.close_code().await;
    }
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(dial(proxy.link).await);
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes for 4 huge messages and 100 idle peers");
    still_serves(&proxy, "after a flood").await;
}

#[tokio::test]
async fn bytes_that_are_no_websocket_are_refused() {
    let (proxy, _witness) = proxy_with_witness().await;
    for bytes in [
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 not http\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(proxy.link).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        let _ = wait::within("the connection to be closed", wait::TIMEOUT, end).await;
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
    still_serves(&proxy, "after no websocket").await;
}

fn header(kind: u8, flags: u8, length: u32, call: u128) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u16(0);
    out.put_u32(length);
    out.put_u128(call);
    out.put_u64(0);
    assert_eq!(out.len(), HEADER_LEN);
    out
}

/// Messages that an authenticated slave must not send, by name.
fn malformed() -> Vec<(&'static str, Bytes)> {
    let mut half = header(FrameKind::Event as u8, 0, 100, 9);
    half.put_slice(b"only a few");
    // The link has sent a catalog of two chunks.
    let part = |json: &str| {
        let mut frame = header(FrameKind::Catalog as u8, 0, u32::try_from(json.len()).unwrap(), 0);
        frame.truncate(HEADER_LEN - 8);
        frame.put_u64(2);
        frame.put_slice(json.as_bytes());
        frame.freeze()
    };
    let mut open = header(FrameKind::Open as u8, 0, 2, 9);
    open.put_slice(b"{}");
    vec![
        ("an unknown kind", header(200, 0, 0, 1).freeze()),
        ("kind 0", header(0, 0, 0, 1).freeze()),
        ("unknown flags", header(FrameKind::Event as u8, 0x80, 0, 1).freeze()),
        ("a header cut short", Bytes::from_static(&[3; 20])),
        ("a payload cut short", half.freeze()),
        ("a payload beyond the limit", header(FrameKind::Event as u8, 0, u32::MAX, 1).freeze()),
        ("a call frame without call", header(FrameKind::Event as u8, 0, 0, 0).freeze()),
        ("a link frame with a call", header(FrameKind::Catalog as u8, 0, 0, 5).freeze()),
        ("a catalog that is no JSON", part("{]}")),
        ("a tool without a name", part(r#"{"backend":"x","lists":{"tools":{"items":[{}]}}}"#)),
        ("a part of nothing", part(r#"{"tools":[]}"#)),
        ("a kind that only proxies send", open.freeze()),
        ("more than a batch may hold", Bytes::from(vec![0; MAX_BATCH + 1])),
    ]
}

#[tokio::test]
async fn malformed_frames_end_the_link_of_their_sender_only() {
    let (proxy, _witness) = proxy_with_witness().await;
    for (index, (what, bytes)) in malformed().into_iter().enumerate() {
        let mut peer = RawSlave::link(proxy.link, CODE, &format!("bad-{index}"), &["bad_tool"]).await;
        proxy.offers("bad_tool").await;
        peer.binary(bytes).await;
        let code = peer.close_code().await;
        assert!(matches!(code, Some(1002 | 1007 | 1009) | None), "{what}: {code:?}");
        still_serves(&proxy, what).await;
        proxy.withdraws("bad_tool").await;
    }
}

#[tokio::test]
async fn text_from_a_native_slave_ends_its_link() {
    let (proxy, _witness) = proxy_with_witness().await;
    let mut peer = RawSlave::link(proxy.link, CODE, "texting", &["bad_tool"]).await;
    proxy.offers("bad_tool").await;
    peer.text(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into()).await;
    let code = peer.close_code().await;
    assert!(matches!(code, Some(1002 | 1003)), "{code:?}");
    still_serves(&proxy, "after text").await;
}

#[tokio::test]
async fn a_slave_that_ignores_its_credit_is_cut_off_before_memory_grows() {
    let (proxy, _witness) = proxy_with_witness().await;
    let mut peer = RawSlave::link(proxy.link, CODE, "greedy", &["flood"]).await;
    proxy.offers("flood").await;
    let client = Client::modern(proxy.http);
    // The client reads nothing, so nothing is credited.
    let _pending = client.start(harness::client::McpRequest::tool(1, "flood", json!({})).progress(1)).await;
    let opened = peer.receive_open().await;
    peer.accept(&opened).await;
    let before = proxy.resident();
    let payload = Bytes::from(vec![b' '; 60_000]);
    for seq in 0..1000 {
        let frame = Frame::bare(FrameKind::Event, opened.call, seq);
        peer.send(Frame { flags: Flags::MORE, payload: payload.clone(), ..frame }).await;
    }
    let code = peer.close_code().await;
    assert!(matches!(code, Some(1002 | 1008 | 1009) | None), "{code:?}");
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes for 60 MB that were never credited");
    still_serves(&proxy, "after greed").await;
}

/// Control frames that may wait for a slave before its link is closed (docs/PROTOCOL.md, "Limits").
const MAX_PENDING_CONTROL: usize = 64 * 1024;

/// One JSON-RPC batch of cancellations: the proxy sends each as a control frame to every slave.
fn cancellations(first: usize) -> Vec<u8> {
    let cancel =
        |id| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    let batch: Vec<_> = (first..first + 100).map(cancel).collect();
    serde_json::to_vec(&batch).unwrap()
}

#[tokio::test]
async fn a_slave_that_reads_no_control_frames_is_closed_before_memory_grows() {
    let (proxy, _witness) = proxy_with_witness().await;
    let mut peer = dial_with_small_buffer(proxy.link).await;
    peer.authenticate(CODE, "deaf").await;
    peer.catalog(&json!({ "tools": [definition("deaf_tool")] })).await;
    proxy.offers("deaf_tool").await;
    let client = Client::legacy_on(proxy.http, "/mcp", "2025-03-26").await;
    let before = proxy.resident();
    let closed = |proxy: &Proxy| proxy.log.count("too many unread control frames") > 0;
    // The socket buffers hold frames beyond the limit.
    let enough = 8 * MAX_PENDING_CONTROL;
    let mut sent = 0;
    while sent < enough && !closed(&proxy) {
        assert_eq!(client.post(&cancellations(sent)).await.status.as_u16(), 202);
        sent += 100;
        // A frame keeps the link alive without a pong, and makes the proxy check the limit.
        peer.send(Frame::bare(FrameKind::Credit, CallId(1), 0)).await;
    }
    proxy.log.wait_for("too many unread control frames").await;
    let code = peer.close_code().await;
    assert!(matches!(code, Some(1002) | None), "{code:?}");
    assert!(sent > MAX_PENDING_CONTROL, "closed after {sent} control frames only");
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 96 << 20, "{grown} bytes for {sent} control frames that nobody read");
    still_serves(&proxy, "after a flood of control frames").await;
}

#[tokio::test]
async fn rubbish_on_the_http_port_is_refused() {
    let (proxy, _witness) = proxy_with_witness().await;
    let answer = http::raw(proxy.http, b"rubbish\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let endless = format!("GET /mcp HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let _ = stream.write_all(endless.as_bytes()).await;
    still_serves(&proxy, "after rubbish").await;
}
