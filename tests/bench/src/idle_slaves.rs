//! Simulated slaves that link, offer one tool and answer pings; many of them on one thread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use protocol::link::frame::{Frame, FrameKind};
use protocol::link::handshake::{Auth, AuthReply, PROTOCOL_NAME, SlaveHello, VERSIONS, nonce_text};
use protocol::link::ids::{CallId, InstanceId};
use protocol::link::limits::DEFAULT_WINDOW;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::error::{BenchError, Doing, Result};
use crate::relay::SLAVE_CODE;

/// Catalog of each slave.
const CATALOG: &str = r#"{"backend":"idle","lists":{"tools":{"items":[{"name":"idle","description":"Gives the text back.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}]}}}"#;

/// Longest time that a proxy may take to accept a slave.
const LINK_TIMEOUT: Duration = Duration::from_secs(15);

/// A linked slave.
#[derive(Debug)]
pub(crate) struct IdleSlave {
    socket: WebSocketStream<TcpStream>,
}

impl IdleSlave {
    /// Links the `number`th slave and returns when the proxy has read its catalog.
    pub(crate) async fn link(links: SocketAddr, number: u64) -> Result<Self> {
        let linked = tokio::time::timeout(LINK_TIMEOUT, Self::handshake(links, number)).await;
        linked.unwrap_or_else(|_| Err(refused(format!("no answer within {LINK_TIMEOUT:?}"))))
    }

    async fn handshake(links: SocketAddr, number: u64) -> Result<Self> {
        let stream = TcpStream::connect(links).await.doing("connecting a simulated slave")?;
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let opening = client_async_with_config(format!("ws://{links}/"), stream, Some(config));
        let (mut socket, _) = opening.await.map_err(|error| not_opened(&error))?;
        let auth =
            serde_json::to_string(&Auth::new(SLAVE_CODE.to_owned(), hello(number))).map_err(refused)?;
        socket.send(Message::text(auth)).await.map_err(refused)?;
        let reply = socket.next().await.ok_or_else(|| refused("closed"))?.map_err(refused)?;
        let reply =
            reply.to_text().map_err(refused).and_then(|text| AuthReply::parse(text).map_err(refused))?;
        if !matches!(reply, AuthReply::AuthSuccess { protocol: Some(_), .. }) {
            return Err(refused(format!("{reply:?}")));
        }
        socket.send(Message::binary(catalog())).await.map_err(refused)?;
        // The proxy reads this ping after the catalog.
        let probe = Bytes::from_static(b"catalog read?");
        socket.send(Message::Ping(probe.clone())).await.map_err(refused)?;
        loop {
            match socket.next().await.ok_or_else(|| refused("closed"))?.map_err(refused)? {
                Message::Pong(payload) if payload == probe => return Ok(Self { socket }),
                Message::Close(close) => return Err(refused(format!("{close:?}"))),
                _ => {}
            }
        }
    }

    /// Answers pings until the link ends, which is an error.
    pub(crate) async fn idle(mut self) -> BenchError {
        loop {
            match self.socket.next().await {
                // Reading a ping queues its pong, which the next read writes.
                Some(Ok(Message::Close(close))) => return refused(format!("closed: {close:?}")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return refused(error),
                None => return refused("closed"),
            }
        }
    }
}

fn catalog() -> Bytes {
    let mut batch = BytesMut::new();
    for (seq, part) in (0..).zip([CATALOG, r#"{"slave":{"complete":true}}"#]) {
        let frame = Frame::bare(FrameKind::Catalog, CallId::LINK, seq);
        Frame { payload: Bytes::from_static(part.as_bytes()), ..frame }.encode(&mut batch);
    }
    batch.freeze()
}

fn hello(number: u64) -> SlaveHello {
    SlaveHello {
        name: PROTOCOL_NAME.to_owned(),
        versions: VERSIONS.to_vec(),
        instance: InstanceId(number + 1).to_string(),
        nonce: nonce_text([0; 32]),
        slave_name: format!("idle-{number}"),
        labels: BTreeMap::new(),
        capacity: 0,
        window: DEFAULT_WINDOW,
        agent: "mcp-relay-bench".to_owned(),
        ..SlaveHello::default()
    }
}

/// Maps a 503 of a busy proxy to its `Retry-After`.
fn not_opened(error: &tokio_tungstenite::tungstenite::Error) -> BenchError {
    match error {
        tokio_tungstenite::tungstenite::Error::Http(answer) if answer.status().as_u16() == 503 => {
            let after =
                answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
            BenchError::Busy(Duration::from_secs(after.unwrap_or(1)))
        }
        error => refused(error),
    }
}

fn refused(error: impl std::fmt::Display) -> BenchError {
    BenchError::Link(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::mcp::catalog::{CatalogPart, ListChange, ListKind, RawList};

    #[test]
    fn what_it_says_is_what_the_protocol_reads() {
        let mut batch = catalog();
        let frame = Frame::decode(&mut batch).unwrap().unwrap();
        let Ok(CatalogPart::Backend(part)) = CatalogPart::parse(&frame.payload) else { panic!("a part") };
        let ListChange::Replaced(list) = part.lists[0] else { panic!("a list") };
        let tools = RawList::parse(ListKind::Tools, list).unwrap().entries().unwrap();
        assert_eq!(tools[0].name, "idle");
        let state = Frame::decode(&mut batch).unwrap().unwrap();
        assert!(
            matches!(CatalogPart::parse(&state.payload), Ok(CatalogPart::Slave(state)) if state.complete)
        );
        let text = serde_json::to_string(&Auth::new("c".into(), hello(999))).unwrap();
        assert_eq!(Auth::parse(&text).unwrap().protocol, Some(hello(999)));
    }
}
