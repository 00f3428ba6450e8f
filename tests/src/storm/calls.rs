//! Clients of both eras that call `count` with ids of their own, each on connections that it keeps.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use protocol::link::limits::MAX_CHUNK;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::HANGS;
use super::chance::Chance;
use super::fleet::{Door, Fleet};
use super::ledger::{Ledger, Told};
use crate::client::{Client, LEGACY, MODERN};
use crate::fixture;
use crate::http::request;
use crate::sse::Parser;

/// One client.
pub(super) struct Worker {
    doors: Vec<Door>,
    /// `Mcp-Session-Id` of a legacy client, good at every proxy.
    session: Option<String>,
    /// With the state of the door that they were opened through: a connection to a killed proxy is none.
    connections: HashMap<SocketAddr, (u64, SendRequest<Full<Bytes>>)>,
    chance: Chance,
    ledger: Arc<Ledger>,
}

/// What one call asks for.
struct Ask {
    id: u64,
    ms: u64,
    steps: u64,
    bytes: u64,
}

impl Worker {
    /// The `n`th client; odd ones are legacy.
    pub(super) async fn open(fleet: &Fleet, ledger: &Arc<Ledger>, n: usize) -> Self {
        let doors = fleet.doors();
        let at = doors[n % doors.len()].address;
        let session = if n % 2 == 1 { Client::legacy(at).await.session } else { None };
        let chance = Chance::new(ledger.seed, 1000 + ledger.made() + n as u64);
        Self { doors, session, connections: HashMap::new(), chance, ledger: ledger.clone() }
    }

    /// Calls until there are so many in all, or the time is over.
    pub(super) async fn run(mut self, most: u64, end: Instant) {
        while Instant::now() < end
            && let Some(id) = self.ledger.next(most)
        {
            let which = self.chance.between(0, self.doors.len() as u64 - 1);
            let door = self.doors[usize::try_from(which).expect("an index")].clone();
            let state = door.state();
            let told = match tokio::time::timeout(HANGS, self.call(id, (door.address, state))).await {
                Ok(Ok(told)) => told,
                // A proxy that is killed says nothing any more.
                Ok(Err(_)) if door.was_shut(state) => Told::ProxyLost,
                Ok(Err(error)) => Told::Wrong(format!("HTTP: {error}")),
                Err(_) => Told::Hung,
            };
            let again = told.is_denial() || told == Told::ProxyLost;
            if !matches!(told, Told::Answered | Told::Failed(_)) {
                self.connections.clear();
            }
            self.ledger.write(id, told);
            if again {
                // As a client would: there is nothing to prove with calls that find nobody.
                let patience = self.chance.millis(50, 300);
                let _ = tokio::time::timeout(patience, std::future::pending::<()>()).await;
            }
        }
    }

    fn ask(&mut self, id: u64) -> Ask {
        let chance = &mut self.chance;
        let bytes = if chance.one_in(25) { chance.between(1, 300_000) } else { chance.between(0, 200) };
        let (ms, steps) = match chance.between(0, 19) {
            0 => (chance.between(200, 1500), chance.between(0, 3)),
            1..=5 => (chance.between(1, 60), chance.between(1, 3)),
            _ => (chance.between(0, 60), 0),
        };
        Ask { id, ms, steps, bytes }
    }

    async fn call(
        &mut self,
        id: u64,
        (proxy, state): (SocketAddr, u64),
    ) -> Result<Told, Box<dyn Error + Send + Sync>> {
        let ask = self.ask(id);
        let request = request(Method::POST, "/mcp", &self.headers(), self.body(&ask));
        let mut sender = self.sender(proxy, state).await?;
        let response = sender.send_request(request).await?;
        let stream = response.headers().get("content-type").is_some_and(|t| t == "text/event-stream");
        let body = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            // What has begun to leave cannot become an error any more: the client sees a broken transport.
            Err(_) if ask.bytes > MAX_CHUNK as u64 => return Ok(Told::CutOff),
            Err(error) => return Err(error.into()),
        };
        self.connections.insert(proxy, (state, sender));
        let mut messages = Vec::new();
        if stream {
            let mut parser = Parser::default();
            parser.push(&body);
            while let Some(event) = parser.pop() {
                if !event.data.is_empty() {
                    messages.push(serde_json::from_str(&event.data)?);
                }
            }
        } else {
            messages.push(serde_json::from_slice(&body)?);
        }
        Ok(judge(&ask, &messages))
    }

    async fn sender(&mut self, proxy: SocketAddr, state: u64) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let kept = self.connections.remove(&proxy);
        if let Some((_, kept)) = kept.filter(|(opened, kept)| *opened == state && !kept.is_closed()) {
            return Ok(kept);
        }
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let shake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shake.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        if let Some(session) = &self.session {
            headers.push(("mcp-protocol-version", LEGACY.into()));
            headers.push(("mcp-session-id", session.clone()));
        } else {
            headers.push(("mcp-protocol-version", MODERN.into()));
            headers.push(("mcp-method", "tools/call".into()));
            headers.push(("mcp-name", "count".into()));
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn body(&self, ask: &Ask) -> Vec<u8> {
        let arguments = json!({ "id": ask.id, "ms": ask.ms, "steps": ask.steps, "bytes": ask.bytes });
        let mut params = json!({ "name": "count", "arguments": arguments });
        if ask.steps > 0 {
            params["_meta"]["progressToken"] = ask.id.into();
        }
        if self.session.is_none() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({ "name": "storm", "version": "1" });
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        let message = json!({ "jsonrpc": "2.0", "id": ask.id, "method": "tools/call", "params": params });
        message.to_string().into_bytes()
    }
}

/// Exactly one response, with the id that was asked; progress in order, none lost, none twice.
fn judge(ask: &Ask, messages: &[Value]) -> Told {
    let wrong =
        |what: &str| Told::Wrong(format!("{what}: {:.300}", Value::from(messages.to_vec()).to_string()));
    let Some((response, notices)) = messages.split_last() else { return wrong("no message") };
    if response["id"] != ask.id || response.get("method").is_some() {
        return wrong("the last message is not the response");
    }
    let steps: Vec<u64> = notices.iter().filter_map(|notice| notice["params"]["progress"].as_u64()).collect();
    let in_order = steps.iter().copied().eq(1..=steps.len() as u64) && steps.len() == notices.len();
    if let Some(kind) = response["error"]["data"]["kind"].as_str() {
        return if in_order { Told::Failed(kind.to_owned()) } else { wrong("progress") };
    }
    if !in_order || steps.len() as u64 != ask.steps {
        return wrong("progress");
    }
    match response["result"]["content"][0]["text"].as_str() {
        Some(text) if text == fixture::counted(ask.id, ask.bytes) => Told::Answered,
        _ => wrong("another answer"),
    }
}

/// Waits for the end of `time`, or less if `stop` says so. Returns whether to go on.
pub(super) async fn rest(time: Duration, stop: &mut tokio::sync::watch::Receiver<bool>) -> bool {
    let stopped = tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await;
    stopped.is_err()
}
