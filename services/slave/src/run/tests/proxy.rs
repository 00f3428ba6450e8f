//! A proxy for tests: accepts slaves, and speaks the native dialect with the state machine of the real one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use protocol::link::call::ResponseEvent;
use protocol::link::fleet::{FleetKey, FleetProof, signed_text};
use protocol::link::frame::Frame;
use protocol::link::handshake::{Auth, AuthReply, PROTOCOL_NAME, ProxyHello, VERSIONS, close};
use protocol::link::ids::{CallId, InstanceId};
use protocol::link::limits::{DEFAULT_WINDOW, LinkLimits, MAX_BATCH};
use protocol::link::proxy_end::{ProxyEnd, ProxyEvent, Sink};
use protocol::mcp::catalog::{
    Catalog, CatalogEntry, CatalogPart, CatalogParts, ListChange, ListKind, RawList,
};
use protocol::mcp::era::Era;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::within;
use crate::call::testing::header;

pub(super) type Ws = WebSocketStream<TcpStream>;

/// The listener that slaves connect to.
pub(super) struct ProxyListener {
    listener: TcpListener,
    pub(super) url: String,
}

impl ProxyListener {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Accepts the next slave and reads its first message.
    pub(super) async fn accept(&self) -> (Ws, Auth) {
        within(async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            let mut ws = accept_async(tcp).await.unwrap();
            let first = ws.next().await.unwrap().unwrap().into_text().unwrap();
            let auth = Auth::parse(&first).unwrap();
            (ws, auth)
        })
        .await
    }
}

pub(super) async fn send_reply(ws: &mut Ws, reply: &AuthReply) {
    ws.send(Message::text(serde_json::to_string(reply).unwrap())).await.unwrap();
}

/// The response events of one call.
#[derive(Clone, Default)]
pub(super) struct ResponseLog(Arc<Mutex<Vec<ResponseEvent>>>);

impl Sink for ResponseLog {
    fn on_event(&mut self, part: ResponseEvent) {
        self.0.lock().unwrap().push(part);
    }
    fn on_unsent(&mut self) {
        panic!("the call was never sent");
    }
}

impl ResponseLog {
    pub(super) fn all(&self) -> Vec<ResponseEvent> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.lock().unwrap().last().is_some_and(ResponseEvent::is_last)
    }

    /// The bytes of the end, put together.
    pub(super) fn end(&self) -> Vec<u8> {
        let payload = |part: ResponseEvent| match part {
            ResponseEvent::End { payload, .. } => Some(payload.to_vec()),
            _ => None,
        };
        self.all().into_iter().filter_map(payload).flatten().collect()
    }
}

/// A proxy of the native dialect with one slave.
pub(super) struct Proxy {
    pub(super) end: ProxyEnd<ResponseLog>,
    pub(super) ws: Option<Ws>,
    pub(super) catalog: Catalog,
    parts: CatalogParts<Vec<Arc<CatalogEntry>>>,
    /// Every part of the catalog that came, in order.
    pub(super) received: Vec<String>,
    pub(super) draining: bool,
    /// Whether clients read what arrives.
    pub(super) reads: bool,
    /// The code of the slave's close.
    pub(super) closed: Option<u16>,
    calls: HashMap<CallId, (ResponseLog, usize)>,
    last: u64,
}

pub(super) const INSTANCE: InstanceId = InstanceId(0xabc);

impl Proxy {
    pub(super) fn new() -> Self {
        Self {
            end: ProxyEnd::new(LinkLimits::default()),
            ws: None,
            catalog: Catalog::default(),
            parts: CatalogParts::default(),
            received: Vec::new(),
            draining: false,
            reads: true,
            closed: None,
            calls: HashMap::new(),
            last: 0,
        }
    }

    /// Takes the slave in (again).
    pub(super) async fn link(&mut self, listener: &ProxyListener) -> Auth {
        let (mut ws, auth) = listener.accept().await;
        let slave = auth.protocol.as_ref().unwrap();
        let text = signed_text(&slave.nonce, &INSTANCE.to_string(), &slave.instance);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let key = FleetKey(pair.public_key().as_ref().try_into().unwrap());
        let signature = pair.sign(text.as_bytes()).as_ref().try_into().unwrap();
        let hello = ProxyHello {
            name: PROTOCOL_NAME.into(),
            version: VERSIONS[0],
            instance: INSTANCE.to_string(),
            fleet: vec![FleetProof::new(key, &signature)],
            grace_ms: 30_000,
            window: DEFAULT_WINDOW,
            agent: "test".into(),
            ..ProxyHello::default()
        };
        send_reply(&mut ws, &AuthReply::success(Some(hello))).await;
        self.ws = Some(ws);
        self.end.link_up(auth.protocol.as_ref().unwrap().window);
        auth
    }

    /// Drops the connection as a broken network does.
    pub(super) fn cut(&mut self) {
        self.ws = None;
        self.end.link_down(Instant::now());
    }

    /// Begins a call of a tool.
    pub(super) fn call(&mut self, tool: &str, arguments: &str) -> (CallId, ResponseLog) {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":"c1","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"progressToken":"p1"}}}}}}"#
        );
        let mut header = header(Era::Legacy);
        header.session = Some("session-1".into());
        header.cancel_id = Some("digest-1".into());
        self.open(&serde_json::to_vec(&header).unwrap(), message)
    }

    pub(super) fn open(&mut self, header: &[u8], message: String) -> (CallId, ResponseLog) {
        self.last += 1;
        let (id, answers) = (CallId::new(INSTANCE, self.last), ResponseLog::default());
        self.end.open(id, header, message.into(), answers.clone()).unwrap();
        self.calls.insert(id, (answers.clone(), 0));
        (id, answers)
    }

    /// Plays its part until it is so.
    pub(super) async fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) {
        let playing = async {
            while !so(self) {
                self.step().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), playing)
            .await
            .unwrap_or_else(|_| panic!("not within 20 s: {what}"));
    }

    async fn step(&mut self) {
        if self.reads {
            self.take_all();
        }
        let Some(ws) = &mut self.ws else { panic!("there is no link") };
        let mut batch = BytesMut::new();
        while batch.len() < MAX_BATCH / 2 {
            let Some(frame) = self.end.poll_transmit(Instant::now()) else { break };
            frame.encode(&mut batch);
        }
        if !batch.is_empty() {
            ws.send(Message::Binary(batch.freeze())).await.unwrap();
        }
        // Delayed acknowledgements become due while nothing arrives.
        let Ok(message) = tokio::time::timeout(Duration::from_millis(5), ws.next()).await else { return };
        match message {
            Some(Ok(Message::Binary(mut batch))) => self.receive(&mut batch),
            Some(Ok(Message::Close(frame))) => self.closed = frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.closed.get_or_insert(close::PROTOCOL_ERROR);
                // Nothing more can arrive: the condition decides.
                tokio::task::yield_now().await;
            }
        }
    }

    fn receive(&mut self, batch: &mut Bytes) {
        let now = Instant::now();
        while let Some(frame) = Frame::decode(batch).unwrap() {
            self.end.receive(frame, now).unwrap();
        }
        while let Some(event) = self.end.poll_event() {
            match event {
                ProxyEvent::Catalog(json) => self.take_part(&json),
                ProxyEvent::Draining => self.draining = true,
                ProxyEvent::Peers(_) | ProxyEvent::Session(_) => panic!("this proxy takes none"),
                ProxyEvent::UnknownCall(kind) => panic!("stray {kind:?}"),
            }
        }
    }

    fn take_part(&mut self, json: &Bytes) {
        self.received.push(String::from_utf8(json.to_vec()).unwrap());
        match CatalogPart::parse(json).unwrap() {
            CatalogPart::Slave(state) => self.parts.set_state(state),
            CatalogPart::Backend(part) if part.gone => drop(self.parts.remove(&part.backend)),
            CatalogPart::Backend(part) => {
                self.parts.place(&part.backend, part.position).unwrap();
                for (kind, list) in ListKind::ALL.into_iter().zip(part.lists) {
                    let list = match list {
                        ListChange::Unchanged => continue,
                        ListChange::Removed => None,
                        ListChange::Replaced(list) => {
                            Some(RawList::parse(kind, list).unwrap().entries().unwrap())
                        }
                    };
                    self.parts.set(&part.backend, kind, list);
                }
            }
        }
        self.catalog = self.parts.merge().catalog;
    }

    /// Takes everything that has arrived, as clients do that read.
    fn take_all(&mut self) {
        let now = Instant::now();
        for (id, (answers, taken)) in &mut self.calls {
            for part in &answers.all()[*taken..] {
                let (ResponseEvent::Event { seq, payload, .. } | ResponseEvent::End { seq, payload, .. }) =
                    part
                else {
                    continue;
                };
                self.end.acknowledge(*id, seq + 1, payload.len(), now);
            }
            *taken = answers.len();
        }
    }
}

/// Closes with a code, as a proxy does.
pub(super) async fn close_with(ws: &mut Ws, code: u16) {
    ws.close(Some(CloseFrame { code: code.into(), reason: "".into() })).await.unwrap();
}
