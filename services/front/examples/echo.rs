//! An edge whose tools echo their arguments, for trying clients and the conformance scenarios by hand.
//!
//! `cargo run -p mcp-relay-front --example echo -- 127.0.0.1:8000`. Must not know links or backends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use front::calls::{CallContext, Calls, Listing};
use front::{BindScope, Edge, EdgeConfig};
use futures_util::{Stream, StreamExt, stream};
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::log_level::LogLevel;
use serde_json::{Value, json};
use tokio::sync::watch;

struct Echo {
    listing: watch::Sender<Arc<Listing>>,
}

impl Calls for Echo {
    type Stream = Pin<Box<dyn Stream<Item = ResponseEvent> + Send>>;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.listing.subscribe()
    }

    fn call(&self, header: CallHeader, message: Bytes, _context: CallContext<'_>) -> Self::Stream {
        let message: Value = serde_json::from_slice(&message).unwrap_or_default();
        let params = &message["params"];
        match header.name.as_deref() {
            Some("test_tool_with_progress") => progress(params["_meta"]["progressToken"].clone()),
            Some("test_missing_capability") => {
                let error = json!({"code": -32021, "message": "Missing required client capability",
                    "data": {"requiredCapabilities": {"sampling": {}}}});
                Box::pin(stream::iter([end(0, &error, 400)]))
            }
            Some(name) => {
                Box::pin(stream::iter([end(0, &text(&format!("{name}: {}", params["arguments"])), 0)]))
            }
            None => Box::pin(stream::empty()),
        }
    }

    fn cancel(&self, _: &str, _: &str, _: Option<&str>) {}

    fn set_log_level(&self, _: &str, _: LogLevel) {}

    fn end_session(&self, _: &str) {}
}

fn text(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

fn end(seq: u64, value: &Value, status: u16) -> ResponseEvent {
    let payload = value.to_string().into();
    ResponseEvent::End { seq, more: false, error: status != 0, tool_error: false, status, payload }
}

fn progress(token: Value) -> Pin<Box<dyn Stream<Item = ResponseEvent> + Send>> {
    Box::pin(stream::iter(0..4).then(move |step| {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": token, "progress": step, "total": 3}});
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match step {
                3 => end(3, &text("done"), 0),
                seq => ResponseEvent::Event {
                    seq,
                    more: false,
                    request: false,
                    payload: note.to_string().into(),
                },
            }
        }
    }))
}

fn tool(name: &str, properties: &Value) -> Value {
    json!({"name": name, "description": "Echoes.", "inputSchema": {"type": "object", "properties": properties}})
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tools = [
        tool("test_simple_text", &json!({})),
        tool("test_tool_with_progress", &json!({})),
        tool("test_missing_capability", &json!({})),
        tool("with_header", &json!({"region": {"type": "string", "x-mcp-header": "Region"}})),
    ];
    let tools = tools.map(|tool| (tool["name"].to_string(), tool.to_string()));
    let mut listing = Listing::default();
    listing.lists[0].entries =
        EntryArray::new(tools.iter().map(|(name, tool)| (name.as_str(), tool.as_str())));
    let listener =
        tokio::net::TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:0".into())).await?;
    let mut config =
        EdgeConfig::new("echo", env!("CARGO_PKG_VERSION"), runtime::secret::SessionKey::random()?);
    config.exposure = BindScope::of(listener.local_addr()?.ip());
    let edge = Edge::new(config, Echo { listing: watch::Sender::new(Arc::new(listing)) });
    println!("http://{}/mcp", listener.local_addr()?);
    axum::serve(listener, front::router(Arc::new(edge))).await?;
    Ok(())
}
