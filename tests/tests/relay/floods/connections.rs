//! Connections of clients: too many, idle ones, and heads that do not come.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use harness::client::Client;
use harness::relay::{Setup, pair, port};
use harness::{http, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::witness::{Witness, sum};

/// Waits until the proxy counts so many connections of clients: it counts one until it has closed its own end.
async fn counted(ops: SocketAddr, connections: u32) {
    let what = format!("{connections} connections of clients to be counted");
    wait::until(&what, async || {
        let now = sum(ops, "mcp_relay_client_connections", &[]).await;
        ((now - f64::from(connections)).abs() < 0.5).then_some(())
    })
    .await;
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n";

fn other(host: u8) -> IpAddr {
    [127, 0, 0, host].into()
}

/// Opens a connection that stays open, however long a busy machine takes for the others: after an answer it may be idle for two
/// minutes, where one that has sent no head ends after ten seconds.
async fn held(source: IpAddr, address: SocketAddr) -> TcpStream {
    let mut stream = http::connect_from(source, address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: proxy\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let head = async {
        while !answer.windows(4).any(|part| part == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
        }
    };
    wait::within("an answer", wait::TIMEOUT, head).await;
    stream
}

/// Opens a connection, sends nothing, and returns what it is refused with. A request that came later than a second after the refusal
/// would reset the connection, and the refusal would be lost.
async fn refusal(source: IpAddr, address: SocketAddr) -> String {
    http::raw_from(source, address, b"").await
}

#[tokio::test]
async fn connections_beyond_the_limits_get_503_and_leave_slaves_and_operators_theirs() {
    let limits = Setup::proxy().env("MAX_CONNECTIONS", "30").env("MAX_CONNECTIONS_PER_ADDRESS", "20");
    let proxy = limits.env("OPS_PORT", "0").start_proxy().await;
    let ops = port(&proxy, "Ops server listening on http").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(self::held(other(2), proxy.http).await);
    }
    let refused = refusal(other(2), proxy.http).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert!(refused.contains("MAX_CONNECTIONS_PER_ADDRESS"), "{refused}");
    let served = http::raw_from(other(3), proxy.http, HEALTH).await;
    assert!(served.starts_with("HTTP/1.1 404 ") || served.starts_with("HTTP/1.1 200 "), "{served}");
    counted(ops, 20).await;
    for _ in 0..10 {
        held.push(self::held(other(3), proxy.http).await);
    }
    counted(ops, 30).await;
    let full = refusal(other(4), proxy.http).await;
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("(MAX_CONNECTIONS)"), "{full}");
    // Neither slaves nor operators need a client's connection.
    let _slave = Setup::slave("one", proxy.link).start_slave().await;
    proxy.accepted(1).await;
    for reason in ["reason=\"connections\"", "reason=\"connections_per_address\""] {
        assert!(sum(ops, "mcp_relay_client_refusals_total", &[reason]).await > 0.5, "{reason}");
    }
    drop(held);
    // Until the proxy has noticed, there is no room for the next client.
    counted(ops, 0).await;
    proxy.offers("echo").await;
}

#[tokio::test]
async fn addresses_of_trusted_proxies_are_not_limited() {
    let limits = Setup::proxy().env("MAX_CONNECTIONS_PER_ADDRESS", "2").env("TRUSTED_PROXIES", "127.0.0.2");
    let proxy = limits.start_proxy().await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(self::held(other(2), proxy.http).await);
    }
    let served = http::raw_from(other(2), proxy.http, HEALTH).await;
    assert!(!served.starts_with("HTTP/1.1 503 "), "{served}");
}

#[tokio::test]
async fn two_thousand_idle_connections_cost_little_and_end_by_themselves() {
    let (proxy, _slave) = pair().await;
    let (before, files) = (proxy.resident(), proxy.descriptors());
    let mut idle = Vec::new();
    for _ in 0..2000 {
        idle.push(http::connect_from(other(2), proxy.http).await.unwrap());
    }
    let witness = Witness::start(Client::modern(proxy.http), proxy.pid());
    let memory = witness.finish().await;
    assert!(memory < before + (64 << 20), "{before} bytes before, {memory} bytes with 2000 idle connections");
    wait::until("connections without a head to be closed", async || {
        (proxy.descriptors() <= files + 20).then_some(())
    })
    .await;
    wait::until("each of them to be counted", async || {
        let counted =
            sum(proxy.http, "mcp_relay_client_refusals_total", &["reason=\"header_timeout\""]).await;
        (counted > 1999.0).then_some(())
    })
    .await;
}

/// Sends a head byte by byte for as long as the server lets it, and returns how long that was, and what it answered.
async fn trickle(address: SocketAddr) -> (Duration, String) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: proxy\r\nx-slow: ").await.unwrap();
    let ends = async {
        let mut answer = Vec::with_capacity(4096);
        loop {
            tokio::select! {
                read = stream.read_buf(&mut answer) => match read {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return answer,
                },
                () = wait::delay(Duration::from_millis(200)) => {}
            }
            if stream.write_all(b"y").await.is_err() {
                return answer;
            }
        }
    };
    let answer = wait::within("the server to give a slow head up", wait::TIMEOUT, ends).await;
    (began.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn slow_heads_are_given_up_after_ten_seconds_and_idle_connections_are_not() {
    let (proxy, _slave) = pair().await;
    let mut kept = TcpStream::connect(proxy.http).await.unwrap();
    let get = b"GET /health HTTP/1.1\r\nHost: proxy\r\n\r\n";
    let mut answer = [0; 4096];
    kept.write_all(get).await.unwrap();
    assert!(kept.read(&mut answer).await.unwrap() > 0);
    let witness = Witness::start(Client::modern(proxy.http), proxy.pid());
    let slow: Vec<_> = (0..50).map(|_| tokio::spawn(trickle(proxy.http))).collect();
    for slow in slow {
        let (took, answer) = slow.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head_timeout"), "{answer}");
        assert!(took >= Duration::from_secs(9), "given up after {took:?}");
    }
    witness.finish().await;
    kept.write_all(get).await.unwrap();
    let read = wait::within("the second answer", wait::TIMEOUT, kept.read(&mut answer)).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn a_client_of_http_2_without_negotiation_is_told_to_speak_http_1() {
    let (proxy, _slave) = pair().await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut answer = Vec::new();
    // The end of the connection may be a reset, since the client sends on.
    let _ = wait::within("the connection to end", wait::TIMEOUT, stream.read_to_end(&mut answer)).await;
    assert_eq!(answer.get(9 + 3), Some(&7), "no GOAWAY: {answer:?}");
    assert!(answer.ends_with(b"this port speaks HTTP/1.1"), "{answer:?}");
}
