//! A native slave that sends the frames that a test chooses. Knows the wire format; enforces no rule of the protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use protocol::link::frame::{Flags, Frame, FrameKind};
use protocol::link::handshake::{
    Auth, AuthReply, PROTOCOL_NAME, ProxyHello, ResumeProof, SlaveHello, VERSIONS, nonce_text, proven_text,
};
use protocol::link::header::CallHeader;
use protocol::link::ids::{CallId, InstanceId, Seq};
use protocol::link::limits::{DEFAULT_WINDOW, MAX_CHUNK};
use protocol::mcp::catalog::ListKind;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::wait::{self, TIMEOUT};

/// A reassembled `open`.
#[derive(Debug)]
pub struct OpenCall {
    /// Id of the call.
    pub call: CallId,
    /// Header of the call.
    pub header: CallHeader,
    /// The client's message.
    pub message: Value,
    /// The client's message as bytes.
    pub bytes: Vec<u8>,
    /// Number of chunks of the `open`, which is the sequence number of the next chunk of the proxy.
    pub chunks: Seq,
}

/// A message or event of the socket.
#[derive(Debug)]
pub enum Received {
    /// A native frame.
    Frame(Frame),
    /// A text message.
    Text(String),
    /// The connection ended, with this close code if one was sent.
    Closed(Option<u16>),
}

/// A connection to the proxy's link port.
pub struct RawSlave {
    socket: WebSocketStream<TcpStream>,
    batch: Bytes,
    catalogs: Seq,
    /// The instance that the hello named.
    pub instance: InstanceId,
    /// The secret that the proxy gave in its reply, by the proxy's instance.
    pub secret: Option<(String, [u8; 32])>,
}

/// Connects to the proxy's link port and sends no message.
pub async fn dial(proxy: SocketAddr) -> RawSlave {
    upgrade(proxy, TcpStream::connect(proxy).await.expect("connect to the link port")).await
}

/// As [`dial`], with a receive buffer so small that the proxy notices soon when nothing is read.
pub async fn dial_with_small_buffer(proxy: SocketAddr) -> RawSlave {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a receive buffer");
    upgrade(proxy, socket.connect(proxy).await.expect("connect to the link port")).await
}

/// Connects from this source address, asks for a WebSocket, presents a code in the plain dialect, and returns the
/// answer's text; `None` where the connection ended without one.
pub async fn present_code(source: std::net::IpAddr, proxy: SocketAddr, code: &str) -> Option<String> {
    let stream = crate::http::connect_from(source, proxy).await.ok()?;
    let upgrade = tokio_tungstenite::client_async(format!("ws://{proxy}/"), stream);
    let (mut socket, _) = wait::within("WebSocket upgrade", TIMEOUT, upgrade).await.ok()?;
    let auth = json!({ "type": "auth", "slaveCode": code }).to_string();
    socket.send(Message::text(auth)).await.ok()?;
    match wait::within("the answer to a code", TIMEOUT, socket.next()).await? {
        Ok(Message::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

async fn upgrade(proxy: SocketAddr, stream: TcpStream) -> RawSlave {
    stream.set_nodelay(true).unwrap();
    // Without limits: the proxy must enforce its own.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let upgrade = tokio_tungstenite::client_async_with_config(format!("ws://{proxy}/"), stream, Some(config));
    let (socket, _) = wait::within("WebSocket upgrade", TIMEOUT, upgrade).await.expect("upgrade");
    RawSlave { socket, batch: Bytes::new(), catalogs: 0, instance: fresh_instance(), secret: None }
}

fn fresh_nonce() -> String {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).unwrap();
    nonce_text(nonce)
}

fn fresh_instance() -> InstanceId {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    InstanceId((u64::from(std::process::id()) << 32) | COUNTER.fetch_add(1, Ordering::Relaxed))
}

impl RawSlave {
    /// Connects, authenticates natively and offers one tool per name.
    pub async fn link(proxy: SocketAddr, code: &str, name: &str, tools: &[&str]) -> Self {
        let mut slave = dial(proxy).await;
        slave.authenticate(code, name).await;
        let list: Vec<Value> = tools.iter().map(|tool| definition(tool)).collect();
        slave.catalog(&json!({ "tools": list })).await;
        slave
    }

    /// Poses as the process of another link: its instance, and the proof that the proxy asks for.
    pub fn resume(&mut self, before: &Self) {
        self.instance = before.instance;
        self.secret.clone_from(&before.secret);
    }

    /// Sends the auth message with a native hello and returns the proxy's hello.
    pub async fn authenticate(&mut self, code: &str, name: &str) -> ProxyHello {
        let hello = self.hello(name);
        self.authenticate_as(code, hello).await
    }

    /// Returns an ordinary hello, with a proof if this slave has a secret.
    pub fn hello(&self, name: &str) -> SlaveHello {
        let nonce = fresh_nonce();
        let prove = |(proxy, secret): &(String, [u8; 32])| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = hmac::sign(&key, proven_text(&nonce, proxy).as_bytes());
            (proxy.clone(), ResumeProof::new(tag.as_ref().try_into().unwrap()))
        };
        SlaveHello {
            resume: self.secret.iter().map(prove).collect(),
            nonce: nonce.clone(),
            name: PROTOCOL_NAME.into(),
            versions: VERSIONS.to_vec(),
            instance: self.instance.to_string(),
            slave_name: name.into(),
            labels: BTreeMap::new(),
            capacity: 0,
            window: DEFAULT_WINDOW,
            agent: "raw".into(),
            ..SlaveHello::default()
        }
    }

    /// As [`Self::authenticate`], with a given hello.
    pub async fn authenticate_as(&mut self, code: &str, hello: SlaveHello) -> ProxyHello {
        self.text(serde_json::to_string(&Auth::new(code.into(), hello)).unwrap()).await;
        let Received::Text(reply) = self.receive().await else { panic!("the proxy's answer to auth") };
        let AuthReply::AuthSuccess { protocol, .. } = AuthReply::parse(&reply).expect("an answer") else {
            panic!("accepted, not {reply}")
        };
        let hello = protocol.expect("the native dialect");
        self.secret = hello.resume.bytes().map(|secret| (hello.instance.clone(), secret));
        hello
    }

    /// Replaces the catalog by these lists (arrays of definitions, by the names of [`ListKind`]) of one backend, and says that it
    /// is complete, with its member `health`.
    pub async fn catalog(&mut self, catalog: &Value) {
        let list = |kind: ListKind| match catalog.get(kind.name()) {
            Some(items) => (kind.name().to_owned(), json!({ "items": items })),
            None => (kind.name().to_owned(), Value::Null),
        };
        let lists: serde_json::Map<String, Value> = ListKind::ALL.into_iter().map(list).collect();
        self.part(&json!({ "backend": "raw", "position": 0, "lists": lists })).await;
        let health = catalog.get("health").unwrap_or(&Value::Null);
        self.part(&json!({ "slave": { "complete": true, "health": health } })).await;
    }

    /// Sends a part of the catalog, in as many chunks as it needs.
    pub async fn part(&mut self, part: &Value) {
        self.raw_part(part.to_string()).await;
    }

    /// As [`Self::part`], with the text of the part.
    pub async fn raw_part(&mut self, part: String) {
        let mut rest = Bytes::from(part);
        loop {
            let chunk = rest.split_to(rest.len().min(MAX_CHUNK));
            let flags = if rest.is_empty() { Flags::NONE } else { Flags::MORE };
            let frame = Frame::bare(FrameKind::Catalog, CallId::LINK, self.catalogs);
            self.catalogs += 1;
            self.send(Frame { payload: chunk, flags, ..frame }).await;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Sends one frame as a batch of its own.
    pub async fn send(&mut self, frame: Frame) {
        let mut batch = BytesMut::new();
        frame.encode(&mut batch);
        self.binary(batch.freeze()).await;
    }

    /// Sends bytes as a binary message; a closed connection is no error.
    pub async fn binary(&mut self, bytes: Bytes) {
        let _ = wait::within("a write to the proxy", TIMEOUT, self.socket.send(Message::Binary(bytes))).await;
    }

    /// Sends a text message; a closed connection is no error.
    pub async fn text(&mut self, text: String) {
        let _ = wait::within("a write to the proxy", TIMEOUT, self.socket.send(Message::text(text))).await;
    }

    /// Receives the next frame or text, and answers pings before it.
    pub async fn receive(&mut self) -> Received {
        wait::within("anything from the proxy", TIMEOUT, self.receive_inner()).await
    }

    async fn receive_inner(&mut self) -> Received {
        loop {
            if let Some(frame) = Frame::decode(&mut self.batch).expect("a well-formed batch") {
                return Received::Frame(frame);
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(batch))) => self.batch = batch,
                Some(Ok(Message::Text(text))) => return Received::Text(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Received::Closed(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }

    /// Reads until the connection ends and returns the close code.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Received::Closed(code) = self.receive().await {
                return code;
            }
        }
    }

    /// Receives the next frame of this kind and skips others.
    pub async fn frame(&mut self, kind: FrameKind) -> Frame {
        loop {
            match self.receive().await {
                Received::Frame(frame) if frame.kind == kind => return frame,
                Received::Frame(_) | Received::Text(_) => {}
                Received::Closed(code) => panic!("closed with {code:?} before {}", kind.name()),
            }
        }
    }

    /// Receives the next call, granting credit for all its chunks.
    pub async fn receive_open(&mut self) -> OpenCall {
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
        // Numbers may exceed the range of `Value`; tests then use the bytes.
        let message = serde_json::from_slice(&bytes).unwrap_or_default();
        OpenCall { call: first.call, header, message, bytes, chunks }
    }

    /// Receives the next call of one chunk; `None` when the connection has ended. Has no time limit.
    pub async fn receive_small_open(&mut self) -> Option<CallId> {
        loop {
            match self.receive_inner().await {
                Received::Frame(frame) if frame.kind == FrameKind::Open => return Some(frame.call),
                Received::Frame(_) | Received::Text(_) => {}
                Received::Closed(_) => return None,
            }
        }
    }

    /// Accepts a call.
    pub async fn accept(&mut self, opened: &OpenCall) {
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

    /// Sends a close frame with this code and does not wait for an answer.
    pub async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = wait::within("a write to the proxy", TIMEOUT, self.socket.close(Some(frame))).await;
    }

    /// Drops the connection without a close frame.
    pub fn disconnect(self) {
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
