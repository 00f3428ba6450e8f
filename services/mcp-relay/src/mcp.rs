//! A client of MCP over HTTP that is just large enough for the command line: one POST a request, answers as they come,
//! either era. Knows nothing of who calls what; parameters go out as they are given.

mod error;
mod param_headers;
mod reply;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::http::{self, Target};

pub(crate) use error::{McpError, Refused};
pub(crate) use param_headers::param_headers;
pub(crate) use reply::{Message, Reply};

/// The version without sessions.
const MODERN: &str = "2026-07-28";

/// The newest version that opens with `initialize`.
const LEGACY: &str = "2025-11-25";

/// Where the session's id stands.
const SESSION: &str = "mcp-session-id";

/// How a client speaks MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: each request stands by itself.
    Modern,
    /// 2025-11-25: `initialize`, then a session.
    Legacy,
}

/// A server, and what every request to it carries.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Where it listens.
    pub(crate) target: Target,
    /// Path of its MCP.
    pub(crate) path: String,
    /// Keys and the like.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Asks one server.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    era: Era,
    name: &'static str,
    version: String,
    session: Option<HeaderValue>,
    next_id: u64,
}

impl Client {
    /// A client called `name` that has not asked anything yet.
    pub(crate) fn new(endpoint: Endpoint, era: Era, name: &'static str) -> Self {
        let version = if era == Era::Modern { MODERN } else { LEGACY }.to_owned();
        Self { endpoint, era, name, version, session: None, next_id: 1 }
    }

    /// Where it asks.
    pub(crate) fn target(&self) -> &Target {
        &self.endpoint.target
    }

    /// Opens a session where the era has such: to be done before anything else is asked.
    pub(crate) async fn open(&mut self) -> Result<(), McpError> {
        if self.era == Era::Modern {
            return Ok(());
        }
        let params =
            json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": self.client_info() });
        let mut reply = self.begin("initialize", params, &[]).await?;
        let answer = reply.result().await?;
        self.session = reply.header(SESSION).cloned();
        if let Some(version) = answer.value["result"]["protocolVersion"].as_str() {
            version.clone_into(&mut self.version);
        }
        self.notify("notifications/initialized", json!({})).await
    }

    /// Ends the session, if there is one.
    pub(crate) async fn close(&self) -> Result<(), McpError> {
        if self.session.is_none() {
            return Ok(());
        }
        let request = self.request(Request::delete(&self.endpoint.path), Bytes::new())?;
        self.send(request).await.map(drop)
    }

    /// The id that the next request gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Sends a request; the reply is read message by message. Dropping it disconnects.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        mut params: Value,
        more: &[(HeaderName, HeaderValue)],
    ) -> Result<Reply, McpError> {
        let id = self.next_id;
        self.next_id += 1;
        let name = params["name"].as_str().map(str::to_owned);
        if self.era == Era::Modern {
            let meta = "io.modelcontextprotocol";
            params["_meta"][format!("{meta}/protocolVersion")] = MODERN.into();
            params["_meta"][format!("{meta}/clientInfo")] = self.client_info();
            params["_meta"][format!("{meta}/clientCapabilities")] = json!({});
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = self.post(&body)?;
        if self.era == Era::Modern {
            let headers = request.headers_mut();
            headers.insert("mcp-method", value(method)?);
            if let Some(name) = name {
                headers.insert("mcp-name", value(&param_headers::encoded(&name))?);
            }
        }
        request.headers_mut().extend(more.iter().cloned());
        self.send(request).await.map(Reply::new)
    }

    /// Sends a request and reads its whole answer: the `result`.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Result<Value, McpError> {
        let mut reply = self.begin(method, params, &[]).await?;
        let mut message = reply.result().await?;
        Ok(message.value["result"].take())
    }

    /// Every definition that `tools/list` gives.
    pub(crate) async fn tools(&mut self) -> Result<Vec<Value>, McpError> {
        let (mut tools, mut params) = (Vec::new(), json!({}));
        loop {
            let mut page = self.ask("tools/list", params).await?;
            let Value::Array(found) = page["tools"].take() else {
                return Err(McpError::broken("tools/list was answered without tools"));
            };
            tools.extend(found);
            match page["nextCursor"].take() {
                Value::Null => return Ok(tools),
                cursor => params = json!({ "cursor": cursor }),
            }
        }
    }

    /// Sends a notification.
    pub(crate) async fn notify(&self, method: &str, params: Value) -> Result<(), McpError> {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let mut request = self.post(&body)?;
        if self.era == Era::Modern {
            request.headers_mut().insert("mcp-method", value(method)?);
        }
        self.send(request).await.map(drop)
    }

    /// Answers a request of the server's: this client can do nothing but say that it is there.
    pub(crate) async fn refuse(&self, asked: &Value) -> Result<(), McpError> {
        let mut body = json!({ "jsonrpc": "2.0", "id": asked["id"] });
        if asked["method"] == "ping" {
            body["result"] = json!({});
        } else {
            body["error"] = json!({ "code": -32601, "message": "Method not found" });
        }
        self.send(self.post(&body)?).await.map(drop)
    }

    fn client_info(&self) -> Value {
        json!({ "name": self.name, "version": env!("CARGO_PKG_VERSION") })
    }

    fn post(&self, body: &Value) -> Result<Request<Full<Bytes>>, McpError> {
        self.request(Request::post(&self.endpoint.path), Bytes::from(body.to_string()))
    }

    fn request(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, McpError> {
        let mut request = request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", &self.version);
        if let Some(session) = &self.session {
            request = request.header(SESSION, session);
        }
        let mut request =
            request.body(Full::new(body)).map_err(|error| McpError::broken(error.to_string()))?;
        request.headers_mut().extend(self.endpoint.headers.iter().cloned());
        Ok(request)
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<hyper::Response<hyper::body::Incoming>, McpError> {
        let connection = http::connect(&self.endpoint.target).await.map_err(McpError::NoConnection)?;
        connection.send(request).await.map_err(McpError::Broken)
    }
}

fn value(text: &str) -> Result<HeaderValue, McpError> {
    HeaderValue::from_str(text).map_err(|_| McpError::broken(format!("{text:?} cannot be sent in a header")))
}
