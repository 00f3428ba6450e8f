//! An MCP server over HTTP that slaves reach as a backend: both eras, JSON and streams, sessions that can be lost, streams that break.
//!
//! Knows the transports of the specifications; nothing of the relay.

mod bodies;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use self::bodies::{Body, event, fixed, full, json_body, progress, status, stream};
use crate::apps;

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
    /// Host of the user interfaces that it offers ([`apps`]).
    apps: Option<String>,
    /// Capabilities of `initialize`.
    declared: Value,
    /// Number of connections so far.
    connections: usize,
    /// Streams that their clients left before the end.
    left: usize,
    /// Times that `refuse` was refused.
    refused: usize,
    /// Whether calls of `wait` may end.
    gate: watch::Sender<bool>,
    /// Changes when all connections are to be closed after their streams.
    go_away: watch::Sender<()>,
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
        Self::serve(kind, address, None).await
    }

    /// Starts a server that speaks TLS: HTTP/2 where that is negotiated.
    pub async fn start_secure(kind: Kind, tls: Arc<ServerConfig>) -> Self {
        Self::serve(kind, "127.0.0.1:0".parse().unwrap(), Some(TlsAcceptor::from(tls))).await
    }

    async fn serve(kind: Kind, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { session: 1, ..State::default() }));
        let served = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(carry(kind, Arc::clone(&served), stream, tls.clone()));
            }
        });
        Self { address, state, task: task.abort_handle() }
    }

    /// Returns an entry of an `mcpServers` file for it.
    pub fn entry(&self, kind: Kind) -> Value {
        let name = if kind == Kind::Events { "sse" } else { "http" };
        json!({ "type": name, "url": format!("http://{}/mcp", self.address) })
    }

    /// Returns an entry for a server that speaks TLS and whose certificate these authorities have issued.
    pub fn secure_entry(&self, kind: Kind, authorities: &Path) -> Value {
        let mut entry = self.entry(kind);
        entry["url"] = format!("https://localhost:{}/mcp", self.address.port()).into();
        entry["tls"] = json!({ "ca": authorities });
        entry
    }

    /// Number of connections so far on which a handshake succeeded.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Number of streams that their clients left before the end.
    pub fn left(&self) -> usize {
        self.state.lock().unwrap().left
    }

    /// Lets the calls of `wait` end.
    pub fn release(&self) {
        self.state.lock().unwrap().gate.send_replace(true);
    }

    /// Closes the connections after their streams, and says so now (HTTP/2, GOAWAY).
    pub fn go_away(&self) {
        self.state.lock().unwrap().go_away.send_replace(());
    }

    /// Returns the requests so far whose message has this method; those without a message by their own.
    pub fn seen(&self, method: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let is = |seen: &&Seen| {
            seen.message["method"] == method || seen.message.is_null() && seen.method == method
        };
        state.seen.iter().filter(is).cloned().collect()
    }

    /// Offers user interfaces with this host, and nothing else, from now on.
    pub fn offer_apps(&self, host: &str) {
        self.state.lock().unwrap().apps = Some(host.to_owned());
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

/// Serves one connection.
async fn carry(kind: Kind, state: Arc<Mutex<State>>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let (served, mut go_away) = (Arc::clone(&state), state.lock().unwrap().go_away.subscribe());
    let service = service_fn(move |request| answer(kind, Arc::clone(&served), request));
    let Some(tls) = tls else {
        state.lock().unwrap().connections += 1;
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        return;
    };
    let Ok(stream) = tls.accept(stream).await else { return };
    state.lock().unwrap().connections += 1;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        return;
    }
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            Ok(()) = go_away.changed() => connection.as_mut().graceful_shutdown(),
        }
    }
}

async fn answer(
    kind: Kind,
    shared: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
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
    let mut state = shared.lock().unwrap();
    state.seen.push(seen.clone());
    if seen.message["params"]["name"] == "refuse" && state.refused < 2 {
        state.refused += 1;
        return Err(h2::Reason::REFUSED_STREAM.into());
    }
    if seen.message["params"]["name"] == "hang" && kind != Kind::Events {
        let (sender, events) = mpsc::unbounded_channel();
        let left = Arc::clone(&shared);
        tokio::spawn(async move {
            sender.closed().await;
            left.lock().unwrap().left += 1;
        });
        return Ok(stream(events));
    }
    if let Some(to) = &state.redirect {
        let response = Response::builder().status(307).header("location", to);
        return Ok(response.body(full(String::new())).unwrap());
    }
    if seen.message["method"] == "initialize" {
        state.declared = seen.message["params"]["capabilities"].clone();
    }
    Ok(match kind {
        Kind::Events => on_events(&mut state, &seen),
        _ if seen.method == "GET" => on_get(kind, &seen),
        _ if seen.method == "DELETE" => status(200),
        Kind::Modern => on_modern(&state, &seen),
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
        Some("initialize") => introduction(state, "2024-11-05"),
        Some(_) if seen.message["id"].is_null() => return status(202),
        Some(_) => result(state, &seen.message),
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

fn on_modern(state: &State, seen: &Seen) -> Response<Body> {
    let id = &seen.message["id"];
    match seen.message["method"].as_str() {
        Some("server/discover") => {
            let mut result = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": { "tools": {} }, "serverInfo": { "name": "upstream", "version": "1" } });
            if let Some(host) = &state.apps {
                apps::introduce(&mut result, true, host);
            }
            json_body(200, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))
        }
        Some(_) => reply(state, seen),
        None => status(400),
    }
}

fn on_legacy(state: &State, seen: &Seen) -> Response<Body> {
    let method = seen.message["method"].as_str().unwrap_or_default();
    let session = format!("session-{}", state.session);
    if method == "initialize" {
        let answer = json!({ "jsonrpc": "2.0", "id": seen.message["id"], "result": introduction(state, "2025-11-25") });
        let mut response = json_body(200, &answer);
        response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        return response;
    }
    if seen.header("mcp-session-id") != session {
        return status(if seen.header("mcp-session-id").is_empty() { 400 } else { 404 });
    }
    if seen.message["id"].is_null() || method.is_empty() { status(202) } else { reply(state, seen) }
}

fn introduction(state: &State, version: &str) -> Value {
    let mut result = json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": { "name": "upstream", "version": "1" } });
    if let Some(host) = &state.apps {
        apps::introduce(&mut result, false, host);
    }
    result
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// Answers a request: most as JSON with newlines, some as streams.
fn reply(state: &State, seen: &Seen) -> Response<Body> {
    let (id, params) = (&seen.message["id"], &seen.message["params"]);
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result(state, &seen.message) });
    match params["name"].as_str().unwrap_or_default() {
        "steps" => {
            let steps = [1, 2].map(|n| progress(params, n)).concat();
            fixed(format!(": hello\n\n{steps}{}", event("", &answer)))
        }
        "cut" => fixed(format!("id: {id}/1\nretry: 10\ndata:\n\n")),
        "wait" => {
            let (sender, events) = mpsc::unbounded_channel();
            let mut gate = state.gate.subscribe();
            sender.send(progress(params, 1)).unwrap();
            tokio::spawn(async move {
                let _ = gate.wait_for(|open| *open).await;
                let _ = sender.send(event("", &answer));
            });
            stream(events)
        }
        "reset" => bodies::reset(progress(params, 1)),
        "broken" => status(500),
        "odd" => json_body(
            400,
            &json!({ "jsonrpc": "2.0", "error": { "code": -32602, "message": "no such thing" } }),
        ),
        _ => json_body(200, &answer),
    }
}

fn result(state: &State, message: &Value) -> Value {
    if let Some(host) = &state.apps {
        let modern = message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string();
        let declared = if modern { apps::declared(message) } else { state.declared.clone() };
        if let Some(Ok(mut result)) = apps::answer(message, host, &declared) {
            result["resultType"] = "complete".into();
            return result;
        }
    }
    if message["method"] == "tools/list" {
        let tool = |name: &str| {
            json!({ "name": name, "inputSchema": { "type": "object", "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" } } } })
        };
        let tools = ["say", "steps", "cut", "hang", "broken", "odd", "wait", "reset", "refuse"].map(tool);
        return json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": tools });
    }
    let said = message["params"]["arguments"]["text"].as_str().unwrap_or("nothing");
    let mut result = text(&format!("said {said}"));
    result["resultType"] = "complete".into();
    result
}
