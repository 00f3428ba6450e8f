//! One call and everything that comes for it until its result. Knows no command line.

use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Sleep, sleep};

use super::{CallError, note, print};
use crate::mcp::{Client, McpError, Message, param_headers};

/// The JSON-RPC code of headers that do not repeat what they should.
const HEADER_MISMATCH: i64 = -32020;

/// What makes the caller give up.
pub(super) struct Ending {
    interrupt: Signal,
    terminate: Signal,
    timeout: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Ending {
    /// At a signal, or so long from now.
    pub(super) fn after(timeout: Option<Duration>) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            timeout: timeout.map(|span| (span, Box::pin(sleep(span)))),
        })
    }

    /// The same signals, and the time limit anew. A signal that came meanwhile is not lost.
    pub(super) fn renew(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout.map(|span| (span, Box::pin(sleep(span))));
    }

    /// Waits for it. Cancel safe.
    pub(super) async fn come(&mut self) -> CallError {
        let timed_out = async {
            match &mut self.timeout {
                Some((span, over)) => {
                    over.as_mut().await;
                    *span
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            span = timed_out => CallError::TimedOut(span),
            _ = self.interrupt.recv() => CallError::Interrupted,
            _ = self.terminate.recv() => CallError::Interrupted,
        }
    }
}

/// Calls the tool: the message with the result. A call that is given up is cancelled.
pub(super) async fn exchange(
    client: &mut Client,
    (tool, arguments): (&str, &Value),
    ending: &mut Ending,
) -> Result<Message, CallError> {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": 1 } });
    let id = client.next_id();
    let cause = tokio::select! {
        answer = with_headers(client, params) => return answer.map_err(CallError::from),
        cause = ending.come() => cause,
    };
    let reason = json!({ "requestId": id, "reason": cause.to_string() });
    // Where it does not arrive the call ends by the server's own time limit.
    let _ = client.notify("notifications/cancelled", reason).await;
    Err(cause)
}

/// Calls it, and once more with the headers that its definition asks for, if the server missed such.
async fn with_headers(client: &mut Client, params: Value) -> Result<Message, McpError> {
    match read(client, &params, &[]).await {
        Err(McpError::Refused(refused)) if refused.code == Some(HEADER_MISMATCH) => {
            let tools = client.tools().await?;
            let tool = tools.iter().find(|tool| tool["name"] == params["name"]);
            let headers = tool.map(|tool| param_headers(tool, &params["arguments"])).unwrap_or_default();
            if headers.is_empty() {
                return Err(refused.into());
            }
            read(client, &params, &headers).await
        }
        answer => answer,
    }
}

async fn read(
    client: &mut Client,
    params: &Value,
    headers: &[(HeaderName, HeaderValue)],
) -> Result<Message, McpError> {
    let mut reply = client.begin("tools/call", params.clone(), headers).await?;
    while let Some(message) = reply.next().await? {
        let asks = message.value.get("method").is_some();
        if asks && message.value.get("id").is_some() {
            client.refuse(&message.value).await?;
        } else if asks {
            note(&print::notice(&message.value));
        } else if let Some(response) = reply.response(message)? {
            return Ok(response);
        }
    }
    Err(McpError::broken("the answer ended without a result"))
}
