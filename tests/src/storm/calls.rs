//! Clients of both eras that call `count`, each with ids of its own and keep-alive connections. Knows no fault.

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

use super::HANG_TIMEOUT;
use super::fleet::{Fleet, ProxyAddress};
use super::ledger::{CallResult, Ledger};
use super::rng::Rng;
use crate::client::{Client, LEGACY, MODERN};
use crate::fixture;
use crate::http::request;
use crate::sse::Parser;

/// One client of a storm.
pub(super) struct Worker {
    proxies: Vec<ProxyAddress>,
    /// `Mcp-Session-Id` of a legacy client, valid at every proxy.
    session: Option<String>,
    /// Connections by proxy, with the generation of the proxy that they were opened to.
    connections: HashMap<SocketAddr, (u64, SendRequest<Full<Bytes>>)>,
    rng: Rng,
    ledger: Arc<Ledger>,
}

/// Arguments of one call of `count`.
struct Arguments {
    id: u64,
    ms: u64,
    steps: u64,
    bytes: u64,
}

impl Worker {
    /// Opens the `n`th client; odd ones are legacy.
    pub(super) async fn open(fleet: &Fleet, ledger: &Arc<Ledger>, n: usize) -> Self {
        let proxies = fleet.proxies();
        let at = proxies[n % proxies.len()].address;
        let session = if n % 2 == 1 { Client::legacy(at).await.session } else { None };
        let rng = Rng::new(ledger.seed, 1000 + ledger.made() + n as u64);
        Self { proxies, session, connections: HashMap::new(), rng, ledger: ledger.clone() }
    }

    /// Calls until `most` calls are made in all, or `end` has come.
    pub(super) async fn run(mut self, most: u64, end: Instant) {
        while Instant::now() < end
            && let Some(id) = self.ledger.next(most)
        {
            let which = self.rng.between(0, self.proxies.len() as u64 - 1);
            let address = self.proxies[usize::try_from(which).expect("an index")].clone();
            let generation = address.generation();
            let result =
                match tokio::time::timeout(HANG_TIMEOUT, self.call(id, address.address, generation)).await {
                    // A killed proxy does not answer, or no further: the head may have come before its call ran.
                    Ok(Err(_) | Ok(CallResult::CutOff)) if address.was_killed_since(generation) => {
                        CallResult::ProxyLost
                    }
                    Ok(Ok(result)) => result,
                    Ok(Err(error)) => CallResult::Wrong(format!("HTTP: {error}")),
                    Err(_) => CallResult::Hung,
                };
            let again = result.was_not_executed() || result == CallResult::ProxyLost;
            if !matches!(result, CallResult::Answered | CallResult::Failed(_)) {
                self.connections.clear();
            }
            self.ledger.write(id, result);
            if again {
                // A pause as a client would make; calls without a slave or proxy test nothing.
                let pause = self.rng.millis(50, 300);
                let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
            }
        }
    }

    fn arguments(&mut self, id: u64) -> Arguments {
        let rng = &mut self.rng;
        let bytes = if rng.one_in(25) { rng.between(1, 300_000) } else { rng.between(0, 200) };
        let (ms, steps) = match rng.between(0, 19) {
            0 => (rng.between(200, 1500), rng.between(0, 3)),
            1..=5 => (rng.between(1, 60), rng.between(1, 3)),
            _ => (rng.between(0, 60), 0),
        };
        Arguments { id, ms, steps, bytes }
    }

    async fn call(
        &mut self,
        id: u64,
        proxy: SocketAddr,
        generation: u64,
    ) -> Result<CallResult, Box<dyn Error + Send + Sync>> {
        let arguments = self.arguments(id);
        let request = request(Method::POST, "/mcp", &self.headers(), self.body(&arguments));
        let mut sender = self.sender(proxy, generation).await?;
        let response = sender.send_request(request).await?;
        let stream = response.headers().get("content-type").is_some_and(|t| t == "text/event-stream");
        let body = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            // A result that has begun to leave cannot become an error: the client sees a broken connection.
            Err(_) if arguments.bytes > MAX_CHUNK as u64 => return Ok(CallResult::CutOff),
            Err(error) => return Err(error.into()),
        };
        self.connections.insert(proxy, (generation, sender));
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
        Ok(check(&arguments, &messages))
    }

    async fn sender(
        &mut self,
        proxy: SocketAddr,
        generation: u64,
    ) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let kept = self.connections.remove(&proxy);
        if let Some((_, kept)) = kept.filter(|(opened, kept)| *opened == generation && !kept.is_closed()) {
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

    fn body(&self, call: &Arguments) -> Vec<u8> {
        let arguments = json!({ "id": call.id, "ms": call.ms, "steps": call.steps, "bytes": call.bytes });
        let mut params = json!({ "name": "count", "arguments": arguments });
        if call.steps > 0 {
            params["_meta"]["progressToken"] = call.id.into();
        }
        if self.session.is_none() {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({ "name": "storm", "version": "1" });
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        let message = json!({ "jsonrpc": "2.0", "id": call.id, "method": "tools/call", "params": params });
        message.to_string().into_bytes()
    }
}

/// Checks for exactly one response, with the id of the call, and for complete progress in order.
fn check(call: &Arguments, messages: &[Value]) -> CallResult {
    let wrong = |what: &str| {
        CallResult::Wrong(format!("{what}: {:.300}", Value::from(messages.to_vec()).to_string()))
    };
    let Some((response, notices)) = messages.split_last() else { return wrong("no message") };
    if response["id"] != call.id || response.get("method").is_some() {
        return wrong("the last message is not the response");
    }
    let steps: Vec<u64> = notices.iter().filter_map(|notice| notice["params"]["progress"].as_u64()).collect();
    let in_order = steps.iter().copied().eq(1..=steps.len() as u64) && steps.len() == notices.len();
    if let Some(kind) = response["error"]["data"]["kind"].as_str() {
        return if in_order { CallResult::Failed(kind.to_owned()) } else { wrong("progress") };
    }
    if !in_order || steps.len() as u64 != call.steps {
        return wrong("progress");
    }
    match response["result"]["content"][0]["text"].as_str() {
        Some(text) if text == fixture::count_text(call.id, call.bytes) => CallResult::Answered,
        _ => wrong("another result"),
    }
}

/// Waits for `time`, or until `stop` is set. Returns whether to go on.
pub(super) async fn pause(time: Duration, stop: &mut tokio::sync::watch::Receiver<bool>) -> bool {
    let stopped = tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await;
    stopped.is_err()
}
