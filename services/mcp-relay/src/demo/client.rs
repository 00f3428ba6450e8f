//! A client of MCP 2026-07-28 that is just large enough for the demo: one POST a request, answers as they come.

use std::collections::VecDeque;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::http::{self, Target};

const VERSION: &str = "2026-07-28";

/// Asks one server.
pub(super) struct Client {
    target: Target,
    next_id: u64,
}

impl Client {
    /// `address` as `host:port`.
    pub(super) fn new(address: &str) -> anyhow::Result<Self> {
        let (host, port) =
            address.rsplit_once(':').with_context(|| format!("{address:?} is no host:port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { target: Target { host, port: port.parse()?, tls: None }, next_id: 1 })
    }

    /// Where it asks.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request; the reply is read message by message.
    pub(super) async fn begin(&mut self, method: &str, mut params: Value) -> anyhow::Result<Reply> {
        let id = self.next_id;
        self.next_id += 1;
        let name = params["name"].as_str().map(str::to_owned);
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = VERSION.into();
        params["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": "mcp-relay-demo", "version": env!("CARGO_PKG_VERSION") });
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = Request::post("/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        let request = request.body(Full::new(Bytes::from(body.to_string())))?;
        let response = http::send(&self.target, request).await?;
        Ok(Reply::new(response))
    }

    /// Sends a request and reads its whole answer: the `result`.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let mut reply = self.begin(method, params).await?;
        while let Some(Message { mut value, line }) = reply.next().await? {
            if let Some(result) = value.get_mut("result") {
                return Ok(result.take());
            }
            if value.get("error").is_some() {
                bail!("{method} was answered with {line}");
            }
        }
        bail!("{method} was not answered")
    }
}

/// One JSON-RPC message of an answer.
pub(super) struct Message {
    /// Its line as it came: `data: …` in a stream, bare JSON otherwise.
    pub(super) line: String,
    /// The message itself.
    pub(super) value: Value,
}

/// An answer under way: one JSON message, or a stream of server-sent events with one message each.
pub(super) struct Reply {
    body: Incoming,
    streams: bool,
    read: Vec<u8>,
    ready: VecDeque<Message>,
    over: bool,
}

impl Reply {
    fn new(response: Response<Incoming>) -> Self {
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let streams = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        Self { body: response.into_body(), streams, read: Vec::new(), ready: VecDeque::new(), over: false }
    }

    /// The next JSON-RPC message; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if self.over {
                return Ok(None);
            }
            let Some(frame) = self.body.frame().await else {
                self.over = true;
                if !self.streams {
                    let line = String::from_utf8_lossy(&self.read).into_owned();
                    let value = serde_json::from_str(&line).context("the answer is not JSON")?;
                    self.ready.push_back(Message { line, value });
                }
                continue;
            };
            let frame = frame.context("the connection broke")?;
            self.read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if self.streams {
                self.take_events()?;
            }
        }
    }

    /// Takes whole events out of what was read. Our own server ends lines with a line feed only.
    fn take_events(&mut self) -> anyhow::Result<()> {
        while let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.read.drain(..end + 2).collect();
            let event = String::from_utf8(event).context("an event is not UTF-8")?;
            let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            let data = data.join("\n").trim().to_owned();
            if !data.is_empty() {
                let value = serde_json::from_str(&data).context("an event is not JSON")?;
                self.ready.push_back(Message { line: format!("data: {data}"), value });
            }
        }
        Ok(())
    }
}
