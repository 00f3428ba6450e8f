//! Prints messages a second over a loopback socket, of this crate and of tungstenite:
//! `cargo run --release -p mcp-relay-link --example throughput`. Must not know frames of a link.
#![allow(clippy::unwrap_used, reason = "a measurement fails by a panic")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use link::{Connection, Message, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Theirs;
use tokio_tungstenite::tungstenite::protocol::{Role as TheirRole, WebSocketConfig};

const TIME: Duration = Duration::from_secs(2);

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, client) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (server, client) = (server.unwrap().0, client.unwrap());
    server.set_nodelay(true).unwrap();
    client.set_nodelay(true).unwrap();
    (server, client)
}

async fn ours(len: usize) -> u64 {
    let (server, client) = sockets().await;
    let echo = tokio::spawn(async move {
        let mut server = Connection::new(server, Role::Server, 1 << 20);
        while let Ok(Message::Binary(payload)) = server.recv().await {
            server.send_binary(payload).await.unwrap();
        }
    });
    let (mut client, payload) = (Connection::new(client, Role::Client, 1 << 20), Bytes::from(vec![7; len]));
    let (mut count, since) = (0, Instant::now());
    while since.elapsed() < TIME {
        client.send_binary(payload.clone()).await.unwrap();
        assert!(matches!(client.recv().await, Ok(Message::Binary(_))));
        count += 1;
    }
    drop(client);
    echo.await.unwrap();
    count
}

async fn theirs(len: usize) -> u64 {
    let (server, client) = sockets().await;
    let config = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0);
    let echo = tokio::spawn(async move {
        let mut server = WebSocketStream::from_raw_socket(server, TheirRole::Server, Some(config)).await;
        while let Some(Ok(message)) = server.next().await {
            server.send(message).await.unwrap();
        }
    });
    let mut client = WebSocketStream::from_raw_socket(client, TheirRole::Client, Some(config)).await;
    let payload = Bytes::from(vec![7; len]);
    let (mut count, since) = (0, Instant::now());
    while since.elapsed() < TIME {
        client.send(Theirs::Binary(payload.clone())).await.unwrap();
        assert!(client.next().await.unwrap().is_ok());
        count += 1;
    }
    drop(client);
    echo.await.unwrap();
    count
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for len in [100, 10_000, 100_000] {
        let (mut own, mut other) = (0, 0);
        for _ in 0..2 {
            own += ours(len).await;
            other += theirs(len).await;
        }
        println!("{len} B: ours {own}, tungstenite {other}, ratio {:.2}", own as f64 / other as f64);
    }
}
