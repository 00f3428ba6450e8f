//! How a call ended: with something to print, or without a result. Knows no command line.

use std::time::Duration;

use anyhow::anyhow;

use crate::mcp::McpError;
use crate::output::Text;

/// The outcome of the command, with the text for standard output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallOutput {
    /// The call has a result.
    Answered(Text),
    /// The list of tools is empty.
    NothingListed(Text),
    /// The call has a result in which the tool reports its failure (`isError`).
    ToolFailed(Text),
    /// Of many calls some have no result.
    SomeFailed(Text),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Mcp(#[from] McpError),
    #[error("the tool asks for input, which this command cannot give")]
    NeedsInput,
    #[error("no result within {} s (--timeout): the call was given up", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("interrupted: the call was given up")]
    Interrupted,
}

impl CallError {
    /// The error with what to do about it; `address` is the server's URL.
    pub(super) fn describe(&self, address: &str) -> anyhow::Error {
        match self {
            Self::Mcp(McpError::NoConnection(why)) => {
                anyhow!(
                    "no connection to {address}: {why:#}. Check --url, or MCP_SERVER_HOST and MCP_SERVER_PORT"
                )
            }
            Self::Mcp(McpError::Refused(refused)) if refused.status == 401 => {
                anyhow!(
                    "{address} says: {refused}. The key comes from AUTH_BEARER_KEYS, or from the variable of --key-env; where the server takes certificates in place of keys (TLS_HTTP_CLIENT_CA), this command has none to show"
                )
            }
            Self::Mcp(McpError::Refused(refused)) => anyhow!("{address} says: {refused}"),
            Self::Mcp(McpError::Broken(why)) => {
                anyhow!("{address} gave no whole answer, so the call may or may not have run: {why:#}")
            }
            other => anyhow!("{other}"),
        }
    }
}
