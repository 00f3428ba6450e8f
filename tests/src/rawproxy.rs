//! A native proxy that sends the frames that a test chooses, and proves whatever fleet it has the key of. Knows the wire format;
//! enforces no rule of the protocol.

use std::net::SocketAddr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use protocol::link::fleet::{FleetKey, FleetProof, signed_text};
use protocol::link::frame::{Frame, FrameKind};
use protocol::link::handshake::{Auth, AuthReply, PROTOCOL_NAME, ProxyHello, SlaveHello, VERSIONS};
use protocol::link::limits::DEFAULT_WINDOW;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::wait::{self, TIMEOUT};

/// A listener for slaves.
pub struct RawProxy {
    listener: TcpListener,
}

/// A link to a slave, of which the first message was read.
pub struct RawProxyLink {
    socket: WebSocketStream<TcpStream>,
    batch: Bytes,
    /// The slave's hello.
    pub hello: SlaveHello,
}

impl RawProxy {
    /// Listens on a free port.
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("bind") }
    }

    /// Where slaves connect.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("address")
    }

    /// Accepts the next slave and reads its first message.
    pub async fn accept(&self) -> RawProxyLink {
        let accepted = wait::within("a slave to dial", TIMEOUT, self.listener.accept()).await;
        let (stream, _) = accepted.expect("accept");
        let socket = tokio_tungstenite::accept_async(stream).await.expect("upgrade");
        let mut link = RawProxyLink { socket, batch: Bytes::new(), hello: SlaveHello::default() };
        let Message::Text(first) = link.message().await.expect("a first message") else {
            panic!("text first")
        };
        link.hello = Auth::parse(&first).expect("an auth message").protocol.expect("a native slave");
        link
    }
}

impl RawProxyLink {
    /// Returns a hello under this instance that proves the fleet of the key with this seed.
    pub fn reply(&self, instance: &str, seed: u8) -> ProxyHello {
        let text = signed_text(&self.hello.nonce, instance, &self.hello.instance);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = FleetKey(pair.public_key().as_ref().try_into().unwrap());
        let signature = pair.sign(text.as_bytes()).as_ref().try_into().unwrap();
        ProxyHello {
            name: PROTOCOL_NAME.into(),
            version: VERSIONS[0],
            instance: instance.into(),
            fleet: vec![FleetProof::new(key, &signature)],
            grace_ms: 30_000,
            window: DEFAULT_WINDOW,
            agent: "raw".into(),
            ..ProxyHello::default()
        }
    }

    /// Answers the slave's first message.
    pub async fn authenticate(&mut self, hello: ProxyHello) {
        let text = serde_json::to_string(&AuthReply::success(Some(hello))).unwrap();
        let sent = self.socket.send(Message::text(text));
        wait::within("a write to the slave", TIMEOUT, sent).await.expect("an open link");
    }

    /// Sends one frame as a batch of its own.
    pub async fn send(&mut self, frame: Frame) {
        let mut batch = BytesMut::new();
        frame.encode(&mut batch);
        let sent = self.socket.send(Message::Binary(batch.freeze()));
        wait::within("a write to the slave", TIMEOUT, sent).await.expect("an open link");
    }

    /// Receives the next frame of this kind and skips others; `Err` with the close code when the link has ended.
    pub async fn frame(&mut self, kind: FrameKind) -> Result<Frame, Option<u16>> {
        loop {
            while let Some(frame) = Frame::decode(&mut self.batch).expect("a well-formed batch") {
                if frame.kind == kind {
                    return Ok(frame);
                }
            }
            match self.message().await {
                Some(Message::Binary(batch)) => self.batch = batch,
                Some(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
                Some(_) => {}
                None => return Err(None),
            }
        }
    }

    async fn message(&mut self) -> Option<Message> {
        wait::within("anything from the slave", TIMEOUT, self.socket.next()).await?.ok()
    }
}
