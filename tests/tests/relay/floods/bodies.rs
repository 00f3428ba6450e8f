//! Request bodies: many large ones, and slow ones.

use std::net::SocketAddr;
use std::time::Duration;

use harness::client::Client;
use harness::relay::{Proxy, Setup, Slave};
use harness::{http, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::witness::{Witness, sum};

/// The largest body by default.
const BODY: usize = 16 << 20;

/// Most resident memory that the proxy may have under the flood, debug build included: `MAX_BODIES_BYTES` (128 MiB), and
/// three quarters as much for everything else. 118 and 162 MiB were measured. Forty bodies took 904 MB before there was a
/// budget, and 273 MiB while buffers grew by doubling.
const CEILING: u64 = 224 << 20;

const KEYS: &str = "key-of-the-first-flooder,key-of-the-other-flooder,key-of-the-witness";

async fn start(setup: Setup) -> (Proxy, Slave) {
    let proxy = setup.env("OPS_PORT", "0").start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.accepted(1).await;
    (proxy, slave)
}

/// Sends all of a large body but its last byte, also where the body is refused meanwhile.
async fn upload(address: SocketAddr, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nAuthorization: Bearer {key}\r\nContent-Length: {BODY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 64 << 10];
    let mut left = BODY - 1;
    while left > 0 {
        let next = left.min(piece.len());
        stream
            .write_all(&piece[..next])
            .await
            .unwrap_or_else(|error| panic!("{error} with {left} bytes left"));
        left -= next;
    }
    stream
}

/// Reads the answers of the uploads that were refused, of which there are at least so many. Returns the other uploads, which
/// wait for their last byte.
async fn read_refusals(uploads: Vec<TcpStream>, at_least: usize) -> (Vec<String>, Vec<TcpStream>) {
    let mut waiting: Vec<_> = uploads.into_iter().map(Some).collect();
    let mut answers = Vec::new();
    wait::until("the refusals", async || {
        for place in &mut waiting {
            let mut answer = vec![0; 4096];
            let read = place.as_ref().and_then(|stream| stream.try_read(&mut answer).ok());
            if let Some(read) = read {
                answers.push(String::from_utf8_lossy(&answer[..read]).into_owned());
                *place = None;
            }
        }
        (answers.len() >= at_least).then_some(())
    })
    .await;
    (answers, waiting.into_iter().flatten().collect())
}

/// Forty clients with these keys, in turn, upload at once beside a witness.
async fn flood(setup: Setup, keys: [&'static str; 2], witness_key: &str) {
    let (proxy, _slave) = start(setup).await;
    let ops = harness::relay::port(&proxy, "Ops server listening on http").await;
    let client = Client::modern(proxy.http).with_header("authorization", &format!("Bearer {witness_key}"));
    let witness = Witness::start(client, proxy.pid());
    let address = proxy.http;
    let uploads: Vec<_> =
        (0..40).map(|n| tokio::spawn(async move { upload(address, keys[n % 2]).await })).collect();
    let mut sent = Vec::new();
    for upload in uploads {
        sent.push(wait::within("an upload", wait::TIMEOUT, upload).await.unwrap());
    }
    let (answers, held) = read_refusals(sent, 30).await;
    let memory = witness.finish().await;
    eprintln!("{} MiB resident under the flood", memory >> 20);
    assert!(memory < CEILING, "{memory} bytes under the flood");
    for answer in answers {
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "429" | "503"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{answer}");
    }
    drop(held);
    wait::until("the memory of bodies to be returned", async || {
        let used = sum_with(ops, witness_key, "mcp_relay_request_body_bytes").await;
        (used < 0.5).then_some(())
    })
    .await;
    let refusals = sum_with(ops, witness_key, "mcp_relay_client_refusals_total").await;
    assert!(refusals >= 30.0, "{refusals} of 40 bodies refused");
}

/// The sum of all samples of a metric, read with a key.
async fn sum_with(ops: SocketAddr, key: &str, name: &str) -> f64 {
    let headers = [("authorization".to_owned(), format!("Bearer {key}"))];
    let request = http::request(hyper::Method::GET, "/metrics", &headers, Vec::new());
    let mut exchange = http::Exchange::start(ops, request).await;
    let text = String::from_utf8(exchange.rest().await).unwrap();
    let samples = text.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn forty_large_bodies_of_the_witness_s_own_address_leave_it_its_calls() {
    flood(Setup::proxy(), ["", ""], "").await;
}

#[tokio::test]
async fn forty_large_bodies_of_two_keys_leave_a_third_its_calls() {
    let setup = Setup::proxy().env("AUTH_BEARER_KEYS", KEYS);
    flood(setup, ["key-of-the-first-flooder", "key-of-the-other-flooder"], "key-of-the-witness").await;
}

#[tokio::test]
async fn a_body_that_stops_is_refused_with_408() {
    let proxy = Setup::proxy().env("CLIENT_STALL_TIMEOUT", "1").start_proxy().await;
    let body = b"POST /mcp HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n\
                 Accept: application/json, text/event-stream\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\"";
    let answer = http::raw(proxy.http, body).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"body_timeout\""), "{answer}");
    assert!(sum(proxy.http, "mcp_relay_client_refusals_total", &["reason=\"body_timeout\""]).await > 0.5);
}

#[tokio::test]
async fn a_body_that_goes_on_slowly_is_read() {
    let (proxy, _slave) = start(Setup::proxy().env("CLIENT_STALL_TIMEOUT", "2")).await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Longer in all than the time without progress that is allowed.
    for piece in body.as_bytes().chunks(body.len().div_ceil(5)) {
        wait::delay(Duration::from_millis(600)).await;
        stream.write_all(piece).await.unwrap();
    }
    let mut answer = String::new();
    wait::within("the answer", wait::TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 ") && !answer.starts_with("HTTP/1.1 408"), "{answer}");
}
