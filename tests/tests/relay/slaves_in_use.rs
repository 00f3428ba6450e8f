//! Slaves in use come back before others: they say so when they dial again, and both ports of a proxy let a few of them in beyond
//! `HANDSHAKE_RATE` (docs/PROTOCOL.md, "Connection").

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::client::Client;
use harness::relay::Setup;
use harness::wait;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

const HEADER: &str = "mcp-relay-in-use: 1\r\n";

/// A way to a proxy that keeps the head of each connection's request. Dropping a connection's task cuts it.
struct HeadRecorder {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    cut: tokio::sync::watch::Sender<u32>,
    task: AbortHandle,
}

impl Drop for HeadRecorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        head.push(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

impl HeadRecorder {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heads, cut) =
            (listener.local_addr().unwrap(), Arc::default(), tokio::sync::watch::Sender::new(0));
        let (of_task, cuts) = (Arc::<Mutex<Vec<String>>>::clone(&heads), cut.subscribe());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let (heads, mut cuts) = (Arc::clone(&of_task), cuts.clone());
                cuts.mark_unchanged();
                connections.spawn(async move {
                    let head = read_head(&mut near).await;
                    heads.lock().unwrap().push(head.clone());
                    let mut far = TcpStream::connect(target).await.unwrap();
                    far.write_all(head.as_bytes()).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, heads, cut, task: task.abort_handle() }
    }

    /// Cuts all connections, and returns whether the next one says that its slave is in use.
    async fn next_says_in_use(&self) -> bool {
        let before = self.heads.lock().unwrap().len();
        self.cut.send_modify(|count| *count += 1);
        wait::until("the slave's next request", async || {
            let heads = self.heads.lock().unwrap();
            heads.get(before).map(|head| head.contains(HEADER))
        })
        .await
    }
}

#[tokio::test]
async fn a_slave_says_that_it_is_in_use_when_it_comes_back_and_only_then() {
    let proxy = Setup::proxy().start_proxy().await;
    let recorder = HeadRecorder::start(proxy.link).await;
    let _slave = Setup::slave("one", recorder.address).start_slave().await;
    proxy.offers("echo").await;
    assert!(!recorder.heads.lock().unwrap()[0].contains(HEADER), "its first link");
    assert!(!recorder.next_says_in_use().await, "no client has called anything");
    proxy.accepted(2).await;
    proxy.offers("echo").await;
    assert_eq!(Client::modern(proxy.http).call("echo", json!({ "text": "a" })).await.text(), "a");
    assert!(recorder.next_says_in_use().await, "a client may wait for it");
}

/// Whether a port lets in a connection with this request, or rejects it.
async fn is_let_in(address: SocketAddr, path: &str, more: &str) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 ") || head.starts_with("HTTP/1.1 503 "), "{head}");
    head.starts_with("HTTP/1.1 101 ")
}

/// Tries a fresh proxy of one connection a second; `None`: the machine was so slow that a second has passed.
async fn try_in_use(path: &str) -> Option<()> {
    let setup = Setup::proxy().env("HANDSHAKE_RATE", "1").env("SLAVES_ON_CLIENT_PORT", "1");
    let proxy = setup.start_proxy().await;
    let address = if path == "/link" { proxy.http } else { proxy.link };
    let start = Instant::now();
    assert!(is_let_in(address, path, "").await, "the first one");
    let plain = is_let_in(address, path, "").await;
    let in_use = is_let_in(address, path, HEADER).await;
    let again = is_let_in(address, path, HEADER).await;
    // Within a second no other connection is let in by the rate itself.
    (start.elapsed() < Duration::from_secs(1)).then(|| {
        assert!(!plain, "{path}: it is over the rate");
        assert!(in_use, "{path}: one in use is let in beyond it");
        assert!(!again, "{path}: anybody can say so, and there is a rate of these");
    })
}

#[tokio::test]
async fn both_ports_let_a_slave_in_use_in_beyond_the_rate() {
    for path in ["/", "/link"] {
        wait::until("an attempt within a second", async || try_in_use(path).await).await;
    }
}
