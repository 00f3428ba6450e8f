//! A fake implementation of `Calls`, and an HTTP client of the edge in front of it. Must not know what a test checks.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use front::calls::{CallContext, Calls, Listing, Updates};
use front::{Edge, EdgeConfig};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use metrics::with_local_recorder;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::subscription::ListenEvent;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::recorder::AnswerRecorder;

/// Record of what the edge requested of [`Fake`].
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) calls: Vec<(CallHeader, Bytes)>,
    pub(crate) cancelled: Vec<(String, String, Option<String>)>,
    pub(crate) ended: Vec<String>,
    pub(crate) listened: Vec<(CallHeader, Bytes)>,
    pub(crate) levels: Vec<(String, LogLevel)>,
    pub(crate) posted: Vec<(String, Bytes)>,
}

/// Implementation of `Calls` that answers each call with the next script, or with one small result.
pub(crate) struct Fake {
    pub(crate) listing: watch::Sender<Arc<Listing>>,
    pub(crate) recorded: Arc<Mutex<Recorded>>,
    pub(crate) taken: Arc<AtomicUsize>,
    pub(crate) open: Arc<AtomicUsize>,
    /// Updates for the next one who listens.
    pub(crate) updates: Mutex<Option<Updates>>,
    /// Where messages for other replicas go; `None`: nowhere.
    pub(crate) other: Mutex<Option<mpsc::Sender<ListenEvent>>>,
    scripts: Mutex<VecDeque<mpsc::Receiver<ResponseEvent>>>,
}

pub(crate) struct FakeStream {
    script: mpsc::Receiver<ResponseEvent>,
    taken: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stream for FakeStream {
    type Item = ResponseEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        let event = ready!(self.script.poll_recv(cx));
        self.taken.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(event)
    }
}

impl Calls for Fake {
    type Stream = FakeStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.subscribe()
    }

    fn call(&self, header: CallHeader, message: Bytes, _context: CallContext<'_>) -> FakeStream {
        self.recorded.lock().unwrap().calls.push((header, message));
        let script = self.scripts.lock().unwrap().pop_front().unwrap_or_else(|| {
            let (send, receive) = mpsc::channel(1);
            send.try_send(end(0, r#"{"content":[]}"#)).unwrap();
            receive
        });
        self.open.fetch_add(1, Ordering::SeqCst);
        FakeStream { script, taken: Arc::clone(&self.taken), open: Arc::clone(&self.open) }
    }

    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>) {
        let cancelled = (session.into(), request_id.into(), reason.map(Into::into));
        self.recorded.lock().unwrap().cancelled.push(cancelled);
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        self.recorded.lock().unwrap().levels.push((session.into(), level));
    }

    fn end_session(&self, session: &str) {
        self.recorded.lock().unwrap().ended.push(session.into());
    }

    fn updates(&self, header: CallHeader, message: Bytes, _context: CallContext<'_>) -> Updates {
        self.recorded.lock().unwrap().listened.push((header, message));
        let updates = self.updates.lock().unwrap().take();
        updates.unwrap_or_else(|| Box::pin(futures_util::stream::empty()))
    }

    fn post(&self, session: &str, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        self.recorded.lock().unwrap().posted.push((session.into(), message.clone()));
        let other = self.other.lock().unwrap().clone();
        Box::pin(async move {
            let event = ListenEvent::Posted(message);
            other.ok_or(Failure::SessionNotFound)?.send(event).await.map_err(|_| Failure::SessionNotFound)
        })
    }
}

/// Edge under test, with its record.
pub(crate) struct Rig {
    pub(crate) edge: Arc<Edge<Fake>>,
    pub(crate) recorded: Arc<Mutex<Recorded>>,
    /// Requests that the edge counted as answered by itself: method and kind.
    pub(crate) answered: Arc<Mutex<Vec<String>>>,
}

/// Returns the end of a call, in one piece.
pub(crate) fn end(seq: u64, payload: &str) -> ResponseEvent {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    ResponseEvent::End { seq, more: false, error: false, tool_error: false, status: 0, payload }
}

/// Returns a notification, in one piece.
pub(crate) fn event(seq: u64, payload: &str) -> ResponseEvent {
    ResponseEvent::Event {
        seq,
        more: false,
        request: false,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// Returns a piece of a result that more pieces follow.
pub(crate) fn piece(seq: u64, payload: Bytes) -> ResponseEvent {
    ResponseEvent::End { seq, more: true, error: false, tool_error: false, status: 0, payload }
}

pub(crate) const TOOLS: &str = r#"[{"name":"echo","inputSchema":{"type":"object","b":1.0,"a":1e2}}]"#;

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let mut config =
            EdgeConfig::new("mcp-relay", "1.2.3", runtime::secret::SessionKey::derive("the key"));
        change(&mut config);
        let recorded = Arc::new(Mutex::new(Recorded::default()));
        let mut listing = Listing::default();
        let tool = TOOLS.strip_prefix('[').and_then(|tools| tools.strip_suffix(']')).unwrap();
        listing.lists[0].entries = EntryArray::new([("echo", tool)]);
        let fake = Fake {
            listing: watch::Sender::new(Arc::new(listing)),
            recorded: Arc::clone(&recorded),
            taken: Arc::default(),
            open: Arc::default(),
            updates: Mutex::default(),
            other: Mutex::default(),
            scripts: Mutex::default(),
        };
        let edge = Arc::new(Edge::new(config, fake));
        Self { edge, recorded, answered: Arc::default() }
    }

    /// Returns the script of the next call that has none yet. At most `ahead` events wait in the script.
    pub(crate) fn script(&self, ahead: usize) -> mpsc::Sender<ResponseEvent> {
        let (send, receive) = mpsc::channel(ahead);
        self.edge.calls().scripts.lock().unwrap().push_back(receive);
        send
    }

    /// Writes a whole script for the next call that has none yet.
    pub(crate) fn scripted(&self, events: Vec<ResponseEvent>) {
        let script = self.script(events.len().max(1));
        for event in events {
            script.try_send(event).unwrap();
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.edge.calls().taken.load(Ordering::SeqCst)
    }

    pub(crate) fn open_calls(&self) -> usize {
        self.edge.calls().open.load(Ordering::SeqCst)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let recorder = AnswerRecorder(Arc::clone(&self.answered));
        let response = front::router(Arc::clone(&self.edge)).oneshot(request.body(body).unwrap());
        let mut response = std::pin::pin!(response);
        // The recorder is the thread's while the edge runs, so tests side by side do not see each other's counts.
        std::future::poll_fn(|cx| with_local_recorder(&recorder, || response.as_mut().poll(cx)))
            .await
            .unwrap()
    }

    /// Sends a POST to `/mcp` and reads the whole response.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        Reply::read(self.send(Method::POST, "/mcp", headers, body.into()).await).await
    }

    /// Begins a legacy session and returns its token.
    pub(crate) async fn session(&self, version: &str) -> String {
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let reply = self.post(BOTH, body.to_string()).await;
        assert_eq!(reply.json()["result"]["protocolVersion"], version);
        reply.headers["mcp-session-id"].to_str().unwrap().to_owned()
    }
}

/// Headers that every MCP client sends.
pub(crate) const BOTH: &[(&str, &str)] =
    &[("accept", "application/json, text/event-stream"), ("content-type", "application/json")];

/// Returns [`BOTH`] and more headers.
pub(crate) fn and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    BOTH.iter().chain(more).copied().collect()
}

/// Response that was read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the status, and the code of the JSON-RPC error if there is one.
    pub(crate) fn outcome(&self) -> (u16, Option<i64>) {
        let code =
            serde_json::from_slice::<Value>(&self.body).ok().and_then(|body| body["error"]["code"].as_i64());
        (self.status.as_u16(), code)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
