//! A small MCP client over HTTP for both eras. Knows the specification's headers and metadata; checks no answer.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::http::{Exchange, request};
use crate::sse::{Event, Parser};
use crate::wait;

/// The newest version that opens with `initialize`.
pub const LEGACY: &str = "2025-11-25";
/// The first version without sessions.
pub const MODERN: &str = "2026-07-28";

/// An MCP client. Every request uses a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    path: String,
    version: String,
    /// `Mcp-Session-Id`; `None` for modern clients.
    pub session: Option<String>,
    headers: Vec<(String, String)>,
}

/// An MCP request.
#[derive(Clone, Debug)]
pub struct McpRequest {
    id: Value,
    method: String,
    params: Value,
}

impl McpRequest {
    /// A request of any method.
    pub fn new(id: impl Into<Value>, method: &str, params: Value) -> Self {
        Self { id: id.into(), method: method.to_owned(), params }
    }

    /// A request of `tools/call`.
    pub fn tool(id: impl Into<Value>, name: &str, arguments: Value) -> Self {
        let mut params = json!({ "name": name });
        params["arguments"] = arguments;
        Self::new(id, "tools/call", params)
    }

    /// Adds a member of `params._meta`.
    #[must_use]
    pub fn meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.params["_meta"][key] = value.into();
        self
    }

    /// Asks for progress under this token.
    #[must_use]
    pub fn progress(mut self, token: impl Into<Value>) -> Self {
        self.params["_meta"]["progressToken"] = token.into();
        self
    }
}

impl Client {
    /// A client of version 2026-07-28.
    pub fn modern(address: SocketAddr) -> Self {
        Self { address, path: "/mcp".into(), version: MODERN.into(), session: None, headers: Vec::new() }
    }

    /// A client of version 2025-11-25 that has initialized.
    pub async fn legacy(address: SocketAddr) -> Self {
        Self::legacy_on(address, "/mcp", LEGACY).await
    }

    /// The same client on another path.
    #[must_use]
    pub fn on_path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// A legacy client of this version on this path that has initialized.
    pub async fn legacy_on(address: SocketAddr, path: &str, version: &str) -> Self {
        let mut client = Self { path: path.into(), version: version.into(), ..Self::modern(address) };
        client.initialize().await;
        client
    }

    /// A legacy client before `initialize`.
    pub fn uninitialized(address: SocketAddr) -> Self {
        Self { version: LEGACY.into(), ..Self::modern(address) }
    }

    /// A client of version 2025-11-25 with these capabilities that has initialized.
    pub async fn legacy_able(address: SocketAddr, capabilities: Value) -> Self {
        let mut client = Self::uninitialized(address);
        client.initialize_with(capabilities).await;
        client
    }

    /// Sends `initialize` and `notifications/initialized`; keeps the session id.
    pub async fn initialize(&mut self) -> Answer {
        self.initialize_with(json!({})).await
    }

    /// As [`Self::initialize`], with these capabilities.
    pub async fn initialize_with(&mut self, capabilities: Value) -> Answer {
        let params = json!({
            "protocolVersion": self.version, "capabilities": capabilities, "clientInfo": client_info()
        });
        let mut pending = self.start(McpRequest::new(0, "initialize", params)).await;
        let answer = pending.finish().await;
        assert_eq!(answer.status, 200, "initialize: {:?}", answer.messages);
        let session = pending.exchange.header("mcp-session-id").to_owned();
        self.session = (!session.is_empty()).then_some(session);
        let status = self.notify("notifications/initialized", json!({})).await;
        assert_eq!(status, 202, "notifications/initialized");
        answer
    }

    /// The same client with one more header on every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client with another version.
    #[must_use]
    pub fn speaking(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// The same client, session included, at another replica.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Ends the session (legacy) and returns the HTTP status.
    pub async fn end_session(&self) -> u16 {
        let mut headers = self.request_headers();
        headers.extend(self.headers.iter().cloned());
        let message = request(Method::DELETE, &self.path, &headers, Vec::new());
        let mut exchange = Exchange::start(self.address, message).await;
        exchange.head().await;
        exchange.status.as_u16()
    }

    fn is_modern(&self) -> bool {
        self.version.as_str() >= MODERN
    }

    /// Sends a request without waiting for anything.
    pub async fn start(&self, request: McpRequest) -> Pending {
        self.try_start(request).await.unwrap_or_else(|| panic!("connect to {}", self.address))
    }

    /// As [`Self::start`]; `None` if the connection is refused.
    pub async fn try_start(&self, rpc: McpRequest) -> Option<Pending> {
        let mut params = rpc.params;
        let mut headers = self.request_headers();
        if self.is_modern() {
            headers.push(("mcp-method".into(), rpc.method.clone()));
            if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
                headers.push(("mcp-name".into(), name.to_owned()));
            }
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = self.version.as_str().into();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = client_info();
            let capabilities = &mut params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
            if capabilities.is_null() {
                *capabilities = json!({});
            }
        }
        headers.extend(self.headers.iter().cloned());
        let body = json!({ "jsonrpc": "2.0", "id": rpc.id, "method": rpc.method, "params": params });
        let message = request(Method::POST, &self.path, &headers, body.to_string().into_bytes());
        Exchange::try_start(self.address, message).await.ok().map(Pending::new)
    }

    /// Sends a request and waits for all of its answer.
    pub async fn request(&self, rpc: McpRequest) -> Answer {
        self.start(rpc).await.finish().await
    }

    /// Calls a tool and waits for the whole answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.request(McpRequest::tool(1, tool, arguments)).await
    }

    /// Opens the session's GET stream (legacy) and waits for its head.
    pub async fn open_stream(&self) -> Pending {
        let mut headers = self.request_headers();
        headers.extend(self.headers.iter().cloned());
        let message = request(Method::GET, &self.path, &headers, Vec::new());
        let mut exchange = Exchange::start(self.address, message).await;
        exchange.head().await;
        assert_eq!(exchange.status, 200, "GET");
        Pending::new(exchange)
    }

    /// Sends a notification and returns the HTTP status.
    pub async fn notify(&self, method: &str, params: Value) -> u16 {
        let mut headers = self.request_headers();
        headers.extend(self.headers.iter().cloned());
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let message = request(Method::POST, &self.path, &headers, body.to_string().into_bytes());
        let mut exchange = Exchange::start(self.address, message).await;
        exchange.head().await;
        exchange.status.as_u16()
    }

    /// Cancels a request (legacy).
    pub async fn cancel(&self, id: impl Into<Value>) {
        let params = json!({ "requestId": id.into(), "reason": "the test says so" });
        assert_eq!(self.notify("notifications/cancelled", params).await, 202);
    }

    /// Posts a body as it is, with the headers of this client.
    pub async fn post(&self, body: &[u8]) -> Exchange {
        let mut headers = self.request_headers();
        headers.extend(self.headers.iter().cloned());
        let mut exchange =
            Exchange::start(self.address, request(Method::POST, &self.path, &headers, body.to_vec())).await;
        exchange.head().await;
        exchange
    }

    /// Tool definitions of every page of `tools/list`.
    pub async fn tools(&self) -> Vec<Value> {
        let mut tools = Vec::new();
        let mut params = json!({});
        loop {
            let answer = self.request(McpRequest::new(1, "tools/list", params)).await;
            let page = answer.result();
            tools.extend(page["tools"].as_array().expect("tools").iter().cloned());
            match page.get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return tools,
            }
        }
    }

    /// Tool names of `tools/list`.
    pub async fn tool_names(&self) -> Vec<String> {
        self.tools().await.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Waits until `tools/list` has exactly these tools, which are given in alphabetical order.
    pub async fn lists(&self, tools: &[&str]) {
        wait::until(&format!("{tools:?} in tools/list"), async || {
            let mut names = self.tool_names().await;
            names.sort();
            (names == tools).then_some(())
        })
        .await;
    }

    fn request_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("accept".to_owned(), "application/json, text/event-stream".to_owned()),
            ("mcp-protocol-version".to_owned(), self.version.clone()),
        ];
        if let Some(session) = &self.session {
            headers.push(("mcp-session-id".to_owned(), session.clone()));
        }
        headers
    }
}

fn client_info() -> Value {
    json!({ "name": "mcp-relay-tests", "version": "1" })
}

/// A request whose answer is read message by message. Dropping it disconnects.
pub struct Pending {
    /// The HTTP exchange of the request.
    pub exchange: Exchange,
    parser: Parser,
    done: bool,
}

impl Pending {
    /// Reads the answer of an exchange that was begun.
    pub fn new(exchange: Exchange) -> Self {
        Self { exchange, parser: Parser::default(), done: false }
    }

    /// The next JSON-RPC message; `None` after the last. Panics where the connection breaks.
    pub async fn next(&mut self) -> Option<Value> {
        self.exchange.head().await;
        if self.exchange.header("content-type").starts_with("text/event-stream") {
            loop {
                let event = self.next_event().await?;
                if !event.data.is_empty() {
                    return Some(serde_json::from_str(&event.data).expect("JSON in an event"));
                }
            }
        }
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        let body = self.exchange.rest().await;
        if body.is_empty() {
            return None;
        }
        let parsed = serde_json::from_slice(&body);
        Some(parsed.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body))))
    }

    /// The next SSE event as it is; `None` when the stream has ended.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.pop() {
                return Some(event);
            }
            let chunk = self.exchange.try_chunk().await.expect("the stream's proper end")?;
            self.parser.push(&chunk);
        }
    }

    /// Reads messages up to the response.
    pub async fn finish(&mut self) -> Answer {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        let content_type = self.exchange.header("content-type").to_owned();
        Answer { status: self.exchange.status.as_u16(), content_type, messages }
    }
}
