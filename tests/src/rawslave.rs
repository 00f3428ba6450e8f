//! A native slave whose every frame the test decides. Knows the wire format; keeps no rule of the protocol itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::handshake::{Auth, AuthReply, PROTOCOL_NAME, ProxyHello, SlaveHello};
use protocol::link::header::CallHeader;
use protocol::link::ids::{CallId, InstanceId, Seq};
use protocol::link::limits::DEFAULT_WINDOW;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::wait::{self, PATIENCE};

/// An `open` put together.
#[derive(Debug)]
pub struct Opened {
    /// Which call.
    pub call: CallId,
    /// Its header.
    pub header: CallHeader,
    /// The client's message.
    pub message: Value,
    /// The same as bytes.
    pub bytes: Vec<u8>,
    /// Chunks the `open` had: the next one that the proxy would send has this number.
    pub chunks: Seq,
}

/// What came next on the socket.
#[derive(Debug)]
pub enum Heard {
    /// A native frame.
    Frame(Frame),
    /// A text message.
    Text(String),
    /// The connection ended, with this close code if one was sent.
    Closed(Option<u16>),
}

/// One connection.
pub struct RawSlave {
    socket: WebSocketStream<TcpStream>,
    batch: Bytes,
    catalogs: Seq,
    /// The instance that the hello named.
    pub instance: InstanceId,
}

/// A socket to the proxy's link port before any message.
pub async fn dial(proxy: SocketAddr) -> RawSlave {
    let stream = TcpStream::connect(proxy).await.expect("connect to the link port");
    stream.set_nodelay(true).unwrap();
    // Without limits: what is too large is the proxy's to decide.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let upgrade = tokio_tungstenite::client_async_with_config(format!("ws://{proxy}/"), stream, Some(config));
    let (socket, _) = wait::within("WebSocket upgrade", PATIENCE, upgrade).await.expect("upgrade");
    RawSlave { socket, batch: Bytes::new(), catalogs: 0, instance: fresh_instance() }
}

fn fresh_instance() -> InstanceId {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    InstanceId((u64::from(std::process::id()) << 32) | COUNTER.fetch_add(1, Ordering::Relaxed))
}

impl RawSlave {
    /// Connects, authenticates natively and offers one tool per name.
    pub async fn link(proxy: SocketAddr, code: &str, name: &str, tools: &[&str]) -> Self {
        let mut slave = dial(proxy).await;
        slave.greet(code, name).await;
        let list: Vec<Value> = tools.iter().map(|tool| definition(tool)).collect();
        slave.catalog(&json!({ "tools": list })).await;
        slave
    }

    /// Sends the auth message with a native hello and reads the proxy's.
    pub async fn greet(&mut self, code: &str, name: &str) -> ProxyHello {
        let hello = SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions: vec![1],
            instance: self.instance.to_string(),
            slave_name: name.into(),
            labels: BTreeMap::new(),
            capacity: 0,
            window: DEFAULT_WINDOW,
            agent: "raw".into(),
            ..SlaveHello::default()
        };
        self.greet_as(code, hello).await
    }

    /// As [`Self::greet`] with a hello of the test's own.
    pub async fn greet_as(&mut self, code: &str, hello: SlaveHello) -> ProxyHello {
        self.text(serde_json::to_string(&Auth::new(code.into(), hello)).unwrap()).await;
        let Heard::Text(reply) = self.hear().await else { panic!("the proxy's answer to auth") };
        let AuthReply::AuthSuccess { protocol, .. } = AuthReply::parse(&reply).expect("an answer") else {
            panic!("accepted, not {reply}")
        };
        protocol.expect("the native dialect")
    }

    /// Replaces the catalog. Small ones only: it goes as one chunk.
    pub async fn catalog(&mut self, catalog: &Value) {
        let payload = catalog.to_string().into_bytes();
        let frame = Frame::bare(FrameKind::Catalog, CallId::LINK, self.catalogs);
        self.catalogs += 1;
        self.send(Frame { payload: payload.into(), ..frame }).await;
    }

    /// Sends one frame as a batch of its own.
    pub async fn send(&mut self, frame: Frame) {
        let mut batch = BytesMut::new();
        frame.encode(&mut batch);
        self.binary(batch.freeze()).await;
    }

    /// Sends bytes as a binary message; a closed connection is no error.
    pub async fn binary(&mut self, bytes: Bytes) {
        let _ =
            wait::within("a write to the proxy", PATIENCE, self.socket.send(Message::Binary(bytes))).await;
    }

    /// Sends a text message; a closed connection is no error.
    pub async fn text(&mut self, text: String) {
        let _ = wait::within("a write to the proxy", PATIENCE, self.socket.send(Message::text(text))).await;
    }

    /// What comes next; pings are answered on the way.
    pub async fn hear(&mut self) -> Heard {
        wait::within("anything from the proxy", PATIENCE, self.hear_inner()).await
    }

    async fn hear_inner(&mut self) -> Heard {
        loop {
            if let Some(frame) = Frame::decode(&mut self.batch).expect("a well-formed batch") {
                return Heard::Frame(frame);
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(batch))) => self.batch = batch,
                Some(Ok(Message::Text(text))) => return Heard::Text(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Heard::Closed(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// Reads on until the connection ends; the close code.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = self.hear().await {
                return code;
            }
        }
    }

    /// The next frame of this kind; others are skipped.
    pub async fn frame(&mut self, kind: FrameKind) -> Frame {
        loop {
            match self.hear().await {
                Heard::Frame(frame) if frame.kind == kind => return frame,
                Heard::Frame(_) | Heard::Text(_) => {}
                Heard::Closed(code) => panic!("closed with {code:?} before {}", kind.name()),
            }
        }
    }

    /// The next call, put together and credited.
    pub async fn opened(&mut self) -> Opened {
        let first = self.frame(FrameKind::Open).await;
        let mut more = first.flags.has(Flags::MORE);
        let (header, message) = first.payload.split_at(usize::from(first.aux));
        let header = serde_json::from_slice(header).expect("a call header");
        let mut message = message.to_vec();
        let mut chunks = first.seq + 1;
        while more {
            self.send(Frame::bare(FrameKind::Credit, first.call, chunks)).await;
            let next = self.frame(FrameKind::Open).await;
            assert_eq!((next.call, next.seq), (first.call, chunks), "one large call at a time");
            message.extend_from_slice(&next.payload);
            more = next.flags.has(Flags::MORE);
            chunks += 1;
        }
        let bytes = message;
        // Numbers may be beyond what this reader holds; the bytes are what counts then.
        let message = serde_json::from_slice(&bytes).unwrap_or_default();
        Opened { call: first.call, header, message, bytes, chunks }
    }

    /// The next call of one chunk; `None` when the connection has ended. Waits as long as the connection lives.
    pub async fn hear_opened(&mut self) -> Option<CallId> {
        loop {
            match self.hear_inner().await {
                Heard::Frame(frame) if frame.kind == FrameKind::Open => return Some(frame.call),
                Heard::Frame(_) | Heard::Text(_) => {}
                Heard::Closed(_) => return None,
            }
        }
    }

    /// Accepts a call.
    pub async fn accept(&mut self, opened: &Opened) {
        self.send(Frame::bare(FrameKind::Accepted, opened.call, opened.chunks)).await;
    }

    /// Sends a whole event.
    pub async fn event(&mut self, call: CallId, seq: Seq, json: &Value) {
        let payload = json.to_string().into_bytes();
        self.send(Frame { payload: payload.into(), ..Frame::bare(FrameKind::Event, call, seq) }).await;
    }

    /// Sends a whole result.
    pub async fn end(&mut self, call: CallId, seq: Seq, json: &Value) {
        let payload = json.to_string().into_bytes();
        self.send(Frame { payload: payload.into(), ..Frame::bare(FrameKind::End, call, seq) }).await;
    }

    /// Closes with this code and does not wait for an answer.
    pub async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = wait::within("a write to the proxy", PATIENCE, self.socket.close(Some(frame))).await;
    }

    /// Drops the connection without a close frame.
    pub fn vanish(self) {
        drop(self.socket);
    }
}

/// A tool that takes anything.
pub fn definition(name: &str) -> Value {
    json!({ "name": name, "description": "raw", "inputSchema": { "type": "object" } })
}

/// A result with one text block.
pub fn text_result(text: &str) -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] })
}
