//! The slave's own port: the same tools, and the operators' endpoints.

use super::proxy::{Proxy, ProxyListener};
use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns status and body of the response to a request on a connection of its own.
async fn ask(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    within(async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    })
    .await
}

#[tokio::test]
async fn readiness_follows_the_link_and_the_port_serves_the_tools() {
    let (listener, mut proxy) = (ProxyListener::open().await, Proxy::new());
    let config = config(&listener.url, &[]);
    let shutdown = Shutdown::new(config.common.shutdown_grace);
    let slave = Slave::start(config).await.unwrap();
    let address = slave.http.local_addr().unwrap();
    let recorder = Metrics::install("slave", metrics::TABLES).unwrap();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { slave.serve(recorder, &shutdown).await }
    });
    let (status, body) = ask(address, "GET /readyz", "").await;
    assert!(status == 503 && body.contains("not linked to a proxy"), "{status} {body}");
    proxy.link(&listener).await;
    proxy.until("the catalog", |proxy| proxy.catalog.tools.len() == 4).await;
    let (status, body) = ask(address, "GET /readyz", "").await;
    assert!(status == 200 && body.contains(r#""links":1"#), "{status} {body}");
    assert_eq!(ask(address, "GET /healthz", "").await.0, 200);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}"#;
    let (status, body) = ask(address, "POST /mcp", call).await;
    assert!(status == 200 && body.contains(r#""text":"hi""#), "{status} {body}");
    let (_, text) = ask(address, "GET /metrics", "").await;
    // Other tests of this process count into the same recorder: only the name is certain.
    assert!(text.contains("mcp_relay_slave_link_connects_total"), "{text}");
    shutdown.begin();
    proxy.until("the close", |proxy| proxy.closed.is_some()).await;
    within(running).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn without_a_proxy_the_slave_is_a_standalone_server() {
    let snapshot = Snapshot::of([("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1")]);
    let config = SlaveConfig::load(&snapshot, Role::Standalone).unwrap().config;
    let slave = Slave::start(config).await.unwrap();
    assert!(slave.linked.is_none());
}
