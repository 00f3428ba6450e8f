//! The exchange of one tool call: the request, notifications and requests of the server, and the result. Knows no command
//! line.

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::cancellation::Cancellation;
use super::error::CallError;
use super::print::{note, notice};
use crate::mcp::{Client, McpError, Message, param_headers};

/// JSON-RPC code of a request whose `Mcp-Param-*` headers are missing or differ from its arguments.
const HEADER_MISMATCH: i64 = -32020;

/// Calls the tool and returns the message with the result. A call that is given up is cancelled at the server.
pub(super) async fn exchange(
    client: &mut Client,
    tool: &str,
    arguments: &Value,
    cancellation: &mut Cancellation,
) -> Result<Message, CallError> {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": 1 } });
    let id = client.next_id();
    let cause = tokio::select! {
        answer = with_headers(client, params) => return answer.map_err(CallError::from),
        cause = cancellation.cancelled() => cause,
    };
    let reason = json!({ "requestId": id, "reason": cause.to_string() });
    // A notification that does not arrive leaves the call to the server's own time limit.
    let _ = client.notify("notifications/cancelled", reason).await;
    Err(cause)
}

/// Calls the tool, and once more with the headers that its definition asks for if the server missed them.
async fn with_headers(client: &mut Client, params: Value) -> Result<Message, McpError> {
    match read(client, &params, &[]).await {
        Err(McpError::Refused(refused)) if refused.code == Some(HEADER_MISMATCH) => {
            let tools = client.raw_tools().await?;
            let tool = tools.iter().find(|tool| name_of(tool).as_deref() == params["name"].as_str());
            let headers = tool.map(|tool| param_headers(tool, &params["arguments"])).unwrap_or_default();
            if headers.is_empty() {
                return Err(refused.into());
            }
            read(client, &params, &headers).await
        }
        answer => answer,
    }
}

/// Returns the name of a definition.
fn name_of(definition: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str(definition.get()).ok().map(|Named { name }| name)
}

async fn read(
    client: &mut Client,
    params: &Value,
    headers: &[(HeaderName, HeaderValue)],
) -> Result<Message, McpError> {
    let mut reply = client.begin("tools/call", params.clone(), headers).await?;
    while let Some(message) = reply.next().await? {
        let has_method = message.value.get("method").is_some();
        if has_method && message.value.get("id").is_some() {
            client.refuse(&message.value).await?;
        } else if has_method {
            note(notice(&message.value));
        } else if let Some(response) = reply.response(message)? {
            return Ok(response);
        }
    }
    Err(McpError::broken("the answer ended without a result"))
}
