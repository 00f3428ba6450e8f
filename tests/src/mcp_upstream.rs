//! An MCP server over HTTP that slaves reach as a backend: both eras, JSON and streams, sessions that can be lost, streams that break.
//!
//! Knows the transports of the specifications; nothing of the relay.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request that the server got.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `POST`, `GET` or `DELETE`.
    pub method: String,
    /// Headers by name in lower case.
    pub headers: HashMap<String, String>,
    /// The message; null without one.
    pub message: Value,
}

impl Seen {
    /// Returns a header; empty without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    session: u64,
    /// Streams of the transport of 2024-11-05.
    events: Option<mpsc::UnboundedSender<String>>,
    redirect: Option<String>,
}

/// The transport and the era of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Streamable HTTP of 2026-07-28.
    Modern,
    /// Streamable HTTP of 2025-11-25 with sessions.
    Legacy,
    /// HTTP with events of 2024-11-05.
    Events,
}

/// A running server. Dropping it ends it.
pub struct McpUpstream {
    /// Its address.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for McpUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl McpUpstream {
    /// Starts a server on a free port.
    pub async fn start(kind: Kind) -> Self {
        Self::start_on(kind, "127.0.0.1:0".parse().unwrap()).await
    }

    /// Starts a server on this address.
    pub async fn start_on(kind: Kind, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { session: 1, ..State::default() }));
        let served = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&served);
                let service = service_fn(move |request| answer(kind, Arc::clone(&state), request));
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, state, task: task.abort_handle() }
    }

    /// Returns an entry of an `mcpServers` file for it.
    pub fn entry(&self, kind: Kind) -> Value {
        let name = if kind == Kind::Events { "sse" } else { "http" };
        json!({ "type": name, "url": format!("http://{}/mcp", self.address) })
    }

    /// Returns the requests so far whose message has this method; those without a message by their own.
    pub fn seen(&self, method: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let is = |seen: &&Seen| {
            seen.message["method"] == method || seen.message.is_null() && seen.method == method
        };
        state.seen.iter().filter(is).cloned().collect()
    }

    /// Forgets the session, as a server that was restarted does.
    pub fn lose_session(&self) {
        self.state.lock().unwrap().session += 1;
    }

    /// Answers all requests with a redirect from now on.
    pub fn redirect(&self, to: &str) {
        self.state.lock().unwrap().redirect = Some(to.to_owned());
    }
}

fn json_body(status: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response
        .body(Full::new(Bytes::from(serde_json::to_string_pretty(value).unwrap())).boxed_unsync())
        .unwrap()
}

fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Full::default().boxed_unsync()).unwrap()
}

fn stream(events: mpsc::UnboundedReceiver<String>) -> Response<Body> {
    let events = futures_util::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), events))
    });
    let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
    response.body(StreamBody::new(events).boxed_unsync()).unwrap()
}

fn fixed(text: String) -> Response<Body> {
    let (sender, events) = mpsc::unbounded_channel();
    sender.send(text).unwrap();
    stream(events)
}

fn event(id: &str, value: &Value) -> String {
    format!("event: message\r\nid: {id}\r\ndata: {value}\r\n\r\n")
}

async fn answer(
    kind: Kind,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let headers: HashMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let method = request.method().to_string();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let seen = Seen { method, headers, message };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    if let Some(to) = &state.redirect {
        let response = Response::builder().status(307).header("location", to);
        return Ok(response.body(Full::default().boxed_unsync()).unwrap());
    }
    Ok(match kind {
        Kind::Events => on_events(&mut state, &seen),
        _ if seen.method == "GET" => on_get(kind, &seen),
        _ if seen.method == "DELETE" => status(200),
        Kind::Modern => on_modern(&seen),
        Kind::Legacy => on_legacy(&state, &seen),
    })
}

/// The transport of 2024-11-05: answers come on the stream.
fn on_events(state: &mut State, seen: &Seen) -> Response<Body> {
    if seen.method == "GET" {
        let (sender, events) = mpsc::unbounded_channel();
        sender.send("event: endpoint\ndata: /messages?session=1\n\n".to_owned()).unwrap();
        state.events = Some(sender);
        return stream(events);
    }
    let result = match seen.message["method"].as_str() {
        Some("server/discover") | None => return status(202),
        Some("initialize") => introduction("2024-11-05"),
        Some(_) if seen.message["id"].is_null() => return status(202),
        Some(_) => result(&seen.message),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": seen.message["id"], "result": result });
    if let Some(sender) = &state.events {
        let _ = sender.send(event("1", &answer));
    }
    status(202)
}

/// The rest of a broken stream; there is no stream for anything else.
fn on_get(kind: Kind, seen: &Seen) -> Response<Body> {
    let Some((id, _)) = seen.header("last-event-id").split_once('/').filter(|_| kind == Kind::Legacy) else {
        return status(405);
    };
    let id: Value = serde_json::from_str(id).unwrap();
    fixed(event("rest", &json!({ "jsonrpc": "2.0", "id": id, "result": text("resumed") })))
}

fn on_modern(seen: &Seen) -> Response<Body> {
    let id = &seen.message["id"];
    match seen.message["method"].as_str() {
        Some("server/discover") => json_body(
            200,
            &json!({ "jsonrpc": "2.0", "id": id, "result": { "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": { "tools": {} }, "serverInfo": { "name": "upstream", "version": "1" } } }),
        ),
        Some(_) => reply(seen),
        None => status(400),
    }
}

fn on_legacy(state: &State, seen: &Seen) -> Response<Body> {
    let method = seen.message["method"].as_str().unwrap_or_default();
    let session = format!("session-{}", state.session);
    if method == "initialize" {
        let answer =
            json!({ "jsonrpc": "2.0", "id": seen.message["id"], "result": introduction("2025-11-25") });
        let mut response = json_body(200, &answer);
        response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        return response;
    }
    if seen.header("mcp-session-id") != session {
        return status(if seen.header("mcp-session-id").is_empty() { 400 } else { 404 });
    }
    if seen.message["id"].is_null() || method.is_empty() { status(202) } else { reply(seen) }
}

fn introduction(version: &str) -> Value {
    json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": { "name": "upstream", "version": "1" } })
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// Answers a request: most as JSON with newlines, some as streams.
fn reply(seen: &Seen) -> Response<Body> {
    let (id, params) = (&seen.message["id"], &seen.message["params"]);
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result(&seen.message) });
    match params["name"].as_str().unwrap_or_default() {
        "steps" => {
            let progress = |n: u64| {
                event(
                    "",
                    &json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progressToken": params["_meta"]["progressToken"], "progress": n } }),
                )
            };
            fixed(format!(": hello\n\n{}{}{}", progress(1), progress(2), event("", &answer)))
        }
        "cut" => fixed(format!("id: {id}/1\nretry: 10\ndata:\n\n")),
        "hang" => {
            let (sender, events) = mpsc::unbounded_channel();
            tokio::spawn(async move { sender.closed().await });
            stream(events)
        }
        "broken" => status(500),
        "odd" => json_body(
            400,
            &json!({ "jsonrpc": "2.0", "error": { "code": -32602, "message": "no such thing" } }),
        ),
        _ => json_body(200, &answer),
    }
}

fn result(message: &Value) -> Value {
    if message["method"] == "tools/list" {
        let tool = |name: &str| {
            json!({ "name": name, "inputSchema": { "type": "object", "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" } } } })
        };
        let tools = ["say", "steps", "cut", "hang", "broken", "odd"].map(tool);
        return json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": tools });
    }
    let said = message["params"]["arguments"]["text"].as_str().unwrap_or("nothing");
    let mut result = text(&format!("said {said}"));
    result["resultType"] = "complete".into();
    result
}
