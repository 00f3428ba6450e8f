//! Slaves on the clients' port (`SLAVES_ON_CLIENT_PORT`): the handshake, the limits and the accounts of the slaves' port, at `/link`.

use std::net::SocketAddr;

use harness::client::Client;
use harness::http::{raw, try_status};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup};
use harness::tls::Authority;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The request of a slave, without the empty line at its end.
const UPGRADE: &str = "GET /link HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn setup() -> Setup {
    Setup::proxy().env("SLAVES_ON_CLIENT_PORT", "1")
}

/// A slave that dials the clients' port.
fn slave(name: &str, proxy: &Proxy) -> Setup {
    Setup::slave(name, proxy.link).env("PROXY_SERVER_URL", format!("ws://{}/link", proxy.http))
}

async fn echoes(proxy: &Proxy, text: &str) {
    proxy.offers("echo").await;
    let answer = Client::modern(proxy.http).call("echo", json!({ "text": text })).await;
    assert_eq!(answer.text(), text);
}

/// Opens connections of clients that stay, until one is refused.
async fn fill(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        held.push(stream);
    }
    held
}

#[tokio::test]
async fn one_port_serves_clients_and_slaves_and_the_other_port_stays() {
    let proxy = setup().start_proxy().await;
    let _shared = slave("shared", &proxy).start_slave().await;
    echoes(&proxy, "shared").await;
    let _own = Setup::slave("own", proxy.link).start_slave().await;
    proxy.accepted(2).await;
    // What is large passes in both directions.
    let client = Client::modern(proxy.http);
    let text = "x".repeat(3_000_000);
    assert_eq!(client.call("echo", json!({ "text": text })).await.text().len(), text.len());
    // A link that is up is no client's connection.
    wait::until("no connection but the scrape's", async || {
        let used = Scrape::of(proxy.http).await.sum("mcp_relay_client_connections", &[]);
        (used <= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_works_over_the_clients_certificate() {
    let authority = Authority::default();
    let own = authority.issue("proxy", &["localhost"]);
    let path = |file: &std::path::Path| file.to_str().unwrap().to_owned();
    let proxy = setup()
        .env("TLS_CERT", path(&own.cert))
        .env("TLS_KEY", path(&own.key))
        .env("TLS_WS", "0")
        .start_proxy()
        .await;
    let _slave = Setup::slave("one", proxy.link)
        .env("PROXY_SERVER_URL", format!("wss://localhost:{}/link", proxy.http.port()))
        .env("PROXY_CA_FILE", path(&authority.root()))
        .start_slave()
        .await;
    proxy.accepted(1).await;
}

#[tokio::test]
async fn without_the_variable_the_path_is_any() {
    let proxy = Setup::proxy().start_proxy().await;
    let answer = raw(
        proxy.http,
        format!("{}\r\n", UPGRADE.replace(": Upgrade\r\n", ": Upgrade, close\r\n")).as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let slave = slave("one", &proxy).start_slave().await;
    let line = slave.log.wait_for("attempting to reconnect").await;
    assert!(line.contains("is no WebSocket server"), "{line}");
}

#[tokio::test]
async fn what_is_no_slave_is_refused_as_on_the_slaves_port() {
    let proxy = setup().start_proxy().await;
    for (request, status) in [
        (UPGRADE.to_owned(), "101"),
        (UPGRADE.replace("/link", "/link/?x=1"), "101"),
        (UPGRADE.replace("Version: 13", "Version: 8"), "426"),
        (UPGRADE.replace("dGhl", "!"), "400"),
        (UPGRADE.replace("websocket", "h2c"), "426"),
        (UPGRADE.replace("GET", "POST"), "426"),
        (UPGRADE.replace("Host: 127.0.0.1\r\n", ""), "400"),
        (UPGRADE.replace("/link", "/links"), "404"),
        (UPGRADE.replace("Upgrade: websocket\r\n", ""), "404"),
    ] {
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {status}"), "{request}");
    }
    let wrong = slave("one", &proxy).env("SLAVE_CODE", "another-code").start_slave().await;
    wrong.log.wait_for("does not accept SLAVE_CODE").await;
    proxy.log.wait_for("Invalid slave code").await;
}

#[tokio::test]
async fn a_connection_that_had_requests_before_becomes_a_link() {
    // So do load balancers that use their connections again.
    let proxy = setup().start_proxy().await;
    let mut stream = fill(proxy.http, 1).await.pop().unwrap();
    let mut rest = [0; 4096];
    let _ = stream.read(&mut rest).await.unwrap();
    stream.write_all(format!("{UPGRADE}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    // A masked text frame: the wrong code is answered on this stream.
    let text = br#"{"type":"auth","slaveCode":"wrong"}"#;
    let length = u8::try_from(text.len()).unwrap();
    stream.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], &text[..]].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("auth_failed"), "{answer:?}");
}

#[tokio::test]
async fn clients_at_their_limits_keep_no_slave_out() {
    // Connections of trusted proxies count in the total alone.
    for (trusted, variable) in [("127.0.0.1", "(MAX_CONNECTIONS)"), ("", "(MAX_CONNECTIONS_PER_ADDRESS)")] {
        let limits = setup().env("MAX_CONNECTIONS", "10").env("MAX_CONNECTIONS_PER_ADDRESS", "10");
        let limits = limits.env("TRUSTED_PROXIES", trusted);
        let proxy = limits.start_proxy().await;
        let held = fill(proxy.http, 10).await;
        let refused = raw(proxy.http, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains(variable), "{refused}");
        let _slave = slave("one", &proxy).start_slave().await;
        proxy.accepted(1).await;
        assert_eq!(try_status(proxy.http, "/healthz").await, Some(503));
        drop(held);
        wait::until("the closed connections to be counted no more", async || {
            (try_status(proxy.http, "/healthz").await == Some(200)).then_some(())
        })
        .await;
        echoes(&proxy, "again").await;
    }
}

#[tokio::test]
async fn silent_connections_beyond_the_limits_are_bounded() {
    let proxy = setup().env("MAX_CONNECTIONS_PER_ADDRESS", "2").start_proxy().await;
    let _held = fill(proxy.http, 2).await;
    let mut silent = Vec::new();
    let refused = wait::within("a refusal", wait::TIMEOUT, async {
        loop {
            let mut stream = TcpStream::connect(proxy.http).await.unwrap();
            let mut byte = [0; 1];
            tokio::select! {
                biased;
                read = stream.read(&mut byte) => break read,
                () = wait_for_a_turn(proxy.http) => silent.push(stream),
            }
        }
    })
    .await;
    assert!(refused.is_ok() && silent.len() <= 64, "{}", silent.len());
}

/// Resolves once the server has had time to refuse what came before.
async fn wait_for_a_turn(address: SocketAddr) {
    let _ = try_status(address, "/healthz").await;
}

#[tokio::test]
async fn the_rate_of_handshakes_is_that_of_both_ports() {
    let proxy = setup().env("HANDSHAKE_RATE", "1").start_proxy().await;
    let mut rejected = String::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        stream.write_all(format!("{UPGRADE}\r\n").as_bytes()).await.unwrap();
        let mut head = vec![0; 512];
        let count = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..count]).into_owned();
        if head.starts_with("HTTP/1.1 503 ") {
            rejected = head;
            break;
        }
    }
    assert!(rejected.to_lowercase().contains("\r\nretry-after: "), "{rejected}");
    assert_eq!(try_status(proxy.http, "/healthz").await, Some(200), "clients are not limited by it");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_slave() {
    let proxy = setup().env("TRUSTED_PROXIES", "127.0.0.0/8").start_proxy().await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(format!("{UPGRADE}X-Forwarded-For: 203.0.113.9\r\n\r\n").as_bytes()).await.unwrap();
    let text = br#"{"type":"auth","slaveCode":"wrong"}"#;
    let length = u8::try_from(text.len()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], &text[..]].concat()).await.unwrap();
    let line = proxy.log.wait_for("Invalid slave code").await;
    assert!(line.contains("203.0.113.9"), "{line}");
}

#[tokio::test]
async fn a_shutdown_closes_links_of_the_clients_port_in_order() {
    let mut proxy = setup().start_proxy().await;
    let slave = slave("one", &proxy).start_slave().await;
    echoes(&proxy, "before").await;
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.exit(wait::TIMEOUT).await.success());
    slave.log.wait_for("attempting to reconnect").await;
    proxy.log.wait_for("Stopped").await;
}
