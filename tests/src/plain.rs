//! Stand-ins for the existing Node proxy and Node slave, which speak the plain dialect: text frames only.
//!
//! They behave like the existing server, including its faults that a peer must tolerate. Knows nothing of the native dialect.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::wait::{self, TIMEOUT};

/// One end of a plain link.
pub struct PlainLink {
    socket: WebSocketStream<TcpStream>,
}

impl PlainLink {
    /// Receives the next message as JSON; `Err` with the close code when the link has ended.
    pub async fn receive(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match wait::within("a plain message", TIMEOUT, self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| f.code.into())),
                Some(Ok(Message::Binary(_))) => panic!("the plain dialect has no binary messages"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Receives the next request; panics if the link ends first.
    pub async fn request(&mut self) -> Value {
        let message = self.receive().await.expect("a request, not the end of the link");
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        assert!(message["method"].is_string() && !message["id"].is_null(), "a request: {message}");
        message
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) {
        let sent = self.socket.send(Message::text(message.to_string()));
        wait::within("a plain write", TIMEOUT, sent).await.expect("an open link");
    }

    /// Answers a request.
    pub async fn answer(&mut self, request: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
    }

    /// Sends text or bytes without meaning; a closed link is no error.
    pub async fn babble(&mut self, message: Message) {
        let _ = wait::within("a plain write", TIMEOUT, self.socket.send(message)).await;
    }

    /// Closes with a code.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
    }
}

/// Dials as the Node slave and authenticates; `Err` with the close code if the code is refused.
pub async fn node_slave(proxy: SocketAddr, code: &str) -> Result<PlainLink, Option<u16>> {
    let stream = TcpStream::connect(proxy).await.expect("connect");
    let (socket, _) =
        tokio_tungstenite::client_async(format!("ws://{proxy}/"), stream).await.expect("upgrade");
    let mut link = PlainLink { socket };
    link.send(&json!({ "type": "auth", "slaveCode": code })).await;
    let reply = link.receive().await?;
    match reply["type"].as_str() {
        Some("auth_success") => {
            assert_eq!(reply["message"], "Authentication successful");
            assert!(reply.get("protocol").is_none(), "no native offer to a plain slave: {reply}");
            Ok(link)
        }
        Some("auth_failed") => {
            assert_eq!(reply["message"], "Invalid slave code");
            Err(link.receive().await.expect_err("closed after auth_failed"))
        }
        _ => panic!("an answer to auth, not {reply}"),
    }
}

/// Answers like the Node slave until the link ends: `initialize`, `tools/list` with one tool, and `tools/call` with the
/// tool's name and arguments as text.
pub async fn serve_like_node(mut link: PlainLink, tool: &str) {
    while let Ok(request) = link.receive().await {
        let result = match request["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "node", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [crate::rawslave::definition(tool)] }),
            Some("tools/call") => {
                let text = format!("{} {}", request["params"]["name"], request["params"]["arguments"]);
                json!({ "content": [{ "type": "text", "text": text }] })
            }
            _ => json!({}),
        };
        link.answer(&request, result).await;
    }
}

/// A stand-in for the Node proxy, which accepts one slave at a time.
pub struct NodeProxy {
    listener: TcpListener,
    code: String,
}

impl NodeProxy {
    /// Listens on a free port and accepts this code.
    pub async fn start(code: &str) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("bind"), code: code.to_owned() }
    }

    /// Where slaves connect.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("address")
    }

    /// Reads the auth message of the next slave, answers with this text (none if it is empty) and closes for this reason.
    pub async fn say_to_next(&self, reply: &str, reason: String) {
        let accepted = wait::within("a slave to dial", TIMEOUT, self.listener.accept()).await;
        let (stream, _) = accepted.expect("accept");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("upgrade");
        let _ = socket.next().await;
        if !reply.is_empty() {
            let _ = socket.send(Message::text(reply)).await;
        }
        let frame = CloseFrame { code: 4000.into(), reason: reason.into() };
        let _ = socket.close(Some(frame)).await;
        // Reads until the slave has closed, so that it gets everything.
        while let Some(Ok(_)) = wait::within("the slave's close", TIMEOUT, socket.next()).await {}
    }

    /// Accepts the next slave; `None` if its code was wrong (the link is then closed with 4002).
    pub async fn accept(&self) -> Option<PlainLink> {
        let accepted = wait::within("a slave to dial", TIMEOUT, self.listener.accept()).await;
        let (stream, _) = accepted.expect("accept");
        let socket = tokio_tungstenite::accept_async(stream).await.expect("upgrade");
        let mut link = PlainLink { socket };
        let auth = link.receive().await.expect("auth first");
        assert_eq!(auth["type"], "auth", "{auth}");
        if auth["slaveCode"] == self.code.as_str() {
            link.send(&json!({ "type": "auth_success", "message": "Authentication successful" })).await;
            return Some(link);
        }
        link.send(&json!({ "type": "auth_failed", "message": "Invalid slave code" })).await;
        link.close(4002).await;
        None
    }
}
