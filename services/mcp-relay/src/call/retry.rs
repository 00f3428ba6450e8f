//! One call, tried again while it certainly has not run (`--wait`). Must not know how a call is exchanged over HTTP.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cancellation::Cancellation;
use super::error::{CallError, CallOutput};
use super::exchange::exchange;
use super::print::{self, Answer, Format, note};
use super::spec::{CallSpec, Operation};
use crate::mcp::{Client, Endpoint, McpError};

/// Pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Why a list is asked for again.
const NOTHING_LISTED: &str = "no tool is listed yet";

/// The client's name in `clientInfo`.
const CLIENT_NAME: &str = "mcp-relay-call";

/// Tries until there is an answer, an error that must not be retried, or the end of `--wait`.
pub(super) async fn retry(
    spec: &CallSpec,
    endpoint: &Endpoint,
    cancellation: &mut Cancellation,
) -> Result<CallOutput, CallError> {
    let deadline = Instant::now() + spec.wait;
    let mut last_reason = String::new();
    loop {
        let reason = match attempt(spec, endpoint, cancellation).await {
            Err(CallError::Mcp(error)) if error.can_be_retried() && Instant::now() < deadline => {
                error.to_string()
            }
            Ok(CallOutput::NothingListed(_)) if Instant::now() < deadline => NOTHING_LISTED.to_owned(),
            result => return result,
        };
        if reason != last_reason {
            note(format!("waiting: {reason}"));
            last_reason = reason;
        }
        tokio::select! {
            () = sleep(RETRY_INTERVAL) => {}
            error = cancellation.cancelled() => return Err(error),
        }
    }
}

async fn attempt(
    spec: &CallSpec,
    endpoint: &Endpoint,
    cancellation: &mut Cancellation,
) -> Result<CallOutput, CallError> {
    let mut client = Client::new(endpoint.clone(), spec.era, CLIENT_NAME);
    tokio::select! {
        opened = client.open() => opened?,
        error = cancellation.cancelled() => return Err(error),
    }
    let result = match &spec.operation {
        Operation::ListTools => tokio::select! {
            tools = list(&mut client, spec.format) => tools.map_err(CallError::from),
            error = cancellation.cancelled() => Err(error),
        },
        Operation::CallTool { tool, arguments } => exchange(&mut client, tool, arguments, cancellation)
            .await
            .and_then(|message| match print::answer(&message, spec.format) {
                Answer::Result(text) => Ok(CallOutput::Answered(text)),
                Answer::ToolError(text) => Ok(CallOutput::ToolFailed(text)),
                Answer::NeedsInput => Err(CallError::NeedsInput),
            }),
    };
    // The answer is there; a session that cannot be closed expires on the server.
    let _ = client.close().await;
    result
}

/// Lists the tools: as text, or their definitions as the server wrote them.
async fn list(client: &mut Client, format: Format) -> Result<CallOutput, McpError> {
    let (text, is_empty) = match format {
        Format::Json => {
            let tools = client.raw_tools().await?;
            (print::definitions(&tools), tools.is_empty())
        }
        Format::Text | Format::Raw => {
            let tools = client.tools().await?;
            (print::tools(&tools, format), tools.is_empty())
        }
    };
    Ok(if is_empty { CallOutput::NothingListed(text) } else { CallOutput::Answered(text) })
}
