//! A small client of MCP over HTTP for the command line: one POST for each request, both eras, streamed responses. Knows no
//! subcommand; parameters are sent as they are given.

mod error;
mod lenient;
mod param_headers;
mod reply;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use protocol::mcp::era::{Era, Version, meta};
use protocol::mcp::param_headers::header_text;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::http::{self, KeptConnection, SendError, Target};

pub(crate) use error::{McpError, Refused};
pub(crate) use param_headers::param_headers;
pub(crate) use reply::{Message, Reply};

/// Version of modern requests.
const MODERN: Version = Version::NEWEST;

/// Version that legacy sessions ask for.
const LEGACY: Version = Version::NEWEST_LEGACY;

/// Header of the session id.
const SESSION: &str = "mcp-session-id";

/// An MCP server, and the headers of every request to it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Address of the server.
    pub(crate) target: Target,
    /// Path of its MCP endpoint.
    pub(crate) path: String,
    /// Headers of every request, for example keys.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The connection that all requests share, where they may run twice. `None`: a connection for each request.
    pub(crate) kept: Option<KeptConnection>,
}

/// A client of one server.
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
    /// A client called `name`. Sends nothing.
    pub(crate) fn new(endpoint: Endpoint, era: Era, name: &'static str) -> Self {
        let version = if era == Era::Modern { MODERN } else { LEGACY }.as_str().to_owned();
        Self { endpoint, era, name, version, session: None, next_id: 1 }
    }

    /// Address of the server.
    pub(crate) fn target(&self) -> &Target {
        &self.endpoint.target
    }

    /// Opens a session in the legacy era; comes before every other request.
    pub(crate) async fn open(&mut self) -> Result<(), McpError> {
        if self.era == Era::Modern {
            return Ok(());
        }
        let params = json!({ "protocolVersion": LEGACY.as_str(), "capabilities": {}, "clientInfo": self.client_info() });
        let mut reply = self.begin("initialize", params, &[]).await?;
        let answer = reply.result().await?;
        self.session = reply.header(SESSION).cloned();
        if let Some(version) = answer.value["result"]["protocolVersion"].as_str() {
            version.clone_into(&mut self.version);
        }
        self.notify("notifications/initialized", json!({})).await
    }

    /// Closes the session, if there is one.
    pub(crate) async fn close(&self) -> Result<(), McpError> {
        if self.session.is_none() {
            return Ok(());
        }
        let request = self.request(Request::delete(&self.endpoint.path), Bytes::new())?;
        self.send(request).await.map(drop)
    }

    /// JSON-RPC id of the next request.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Sends a request and returns its reply, which is read message by message. Dropping the reply disconnects.
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
            params["_meta"][meta::PROTOCOL_VERSION] = MODERN.as_str().into();
            params["_meta"][meta::CLIENT_INFO] = self.client_info();
            params["_meta"][meta::CLIENT_CAPABILITIES] = json!({});
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = self.post(&body)?;
        if self.era == Era::Modern {
            let headers = request.headers_mut();
            headers.insert("mcp-method", value(method)?);
            if let Some(name) = name {
                headers.insert("mcp-name", value(&header_text(&name))?);
            }
        }
        request.headers_mut().extend(more.iter().cloned());
        self.send(request).await.map(Reply::new)
    }

    /// Sends a request, reads the whole reply and returns the `result`.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Result<Value, McpError> {
        let mut reply = self.begin(method, params, &[]).await?;
        let mut message = reply.result().await?;
        Ok(message.value["result"].take())
    }

    /// Returns the tool definitions of all pages of `tools/list`.
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

    /// As [`Self::tools`], with the text of each definition as the server wrote it.
    pub(crate) async fn raw_tools(&mut self) -> Result<Vec<Box<RawValue>>, McpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            tools: Vec<Box<RawValue>>,
            next_cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct Answer {
            result: Page,
        }
        let (mut tools, mut params) = (Vec::new(), json!({}));
        loop {
            let message = self.begin("tools/list", params, &[]).await?.result().await?;
            let text = message.line.strip_prefix("data:").unwrap_or(&message.line);
            let Answer { result } = serde_json::from_str(text).map_err(|error| {
                McpError::broken(format!("tools/list was answered without tools: {error}"))
            })?;
            tools.extend(result.tools);
            match result.next_cursor {
                None => return Ok(tools),
                Some(cursor) => params = json!({ "cursor": cursor }),
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

    /// Answers a request of the server: `ping` with a result, anything else with an error.
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
        if let Some(kept) = &self.endpoint.kept {
            return kept.send(&self.endpoint.target, request).await.map_err(|error| match error {
                SendError::NoConnection(why) => McpError::NoConnection(why),
                SendError::Broken(why) => McpError::Broken(why),
            });
        }
        let mut connection = http::connect(&self.endpoint.target).await.map_err(McpError::NoConnection)?;
        connection.send(request).await.map_err(McpError::Broken)
    }
}

fn value(text: &str) -> Result<HeaderValue, McpError> {
    HeaderValue::from_str(text).map_err(|_| McpError::broken(format!("{text:?} cannot be sent in a header")))
}
