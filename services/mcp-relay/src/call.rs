//! `mcp-relay call`: makes one MCP call over HTTP, as any client does, and prints its result. Knows nothing of proxies and
//! slaves but that a slave can be started for the call.

mod cancellation;
mod error;
mod exchange;
mod print;
mod repeat;
mod retry;
mod slave;
mod spec;

use anyhow::Context;
use runtime::env::Snapshot;
use serde_json::value::RawValue;

use crate::cli::Call;
use crate::command_error::CommandError;
use crate::mcp::{Client, McpError};
use cancellation::Cancellation;
pub(crate) use error::CallOutput;
use spec::CallSpec;

/// Returns the URL of the MCP endpoint at `url`, or of this environment's server.
pub(crate) fn endpoint_url(url: Option<&str>, snapshot: &Snapshot) -> Result<String, CommandError> {
    spec::endpoint_url(url, snapshot)
}

/// Returns the definitions of all tools of a server, as it wrote them. The client is called `name`.
pub(crate) async fn definitions(
    args: Call,
    snapshot: &Snapshot,
    name: &'static str,
) -> Result<Vec<Box<RawValue>>, CommandError> {
    let spec = CallSpec::of(args, snapshot)?;
    let mut client = Client::new(spec.endpoint.clone(), spec.era, name);
    let definitions: Result<_, McpError> = async {
        client.open().await?;
        let definitions = client.raw_tools().await?;
        client.close().await?;
        Ok(definitions)
    }
    .await;
    Ok(definitions.with_context(|| format!("{} did not answer", spec.address()))?)
}

/// Makes the call, or lists the tools.
pub(crate) async fn run(args: Call, snapshot: &Snapshot) -> Result<CallOutput, CommandError> {
    let spec = CallSpec::of(args, snapshot)?;
    let mut cancellation = Cancellation::after(spec.timeout)?;
    let slave = match &spec.slave {
        Some(tool) => Some(slave::start(tool, snapshot)?),
        None => None,
    };
    let result = if let Some(span) = spec.during {
        repeat::repeat(&spec, span).await
    } else {
        let outcome = retry::retry(&spec, &spec.endpoint, &mut cancellation).await;
        outcome.map_err(|error| error.describe(&spec.address()))
    };
    if let Some(slave) = slave {
        slave.stop().await;
    }
    Ok(result?)
}
