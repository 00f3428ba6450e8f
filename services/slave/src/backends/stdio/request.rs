//! The slave's own requests to a child: sending one, and reading its answer. Must not know what they ask.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use serde::Deserialize;

use super::incoming::Incoming;
use super::request_table::RequestKind;
use super::session::{OutboundRequest, Session};

/// Characters of an error object in a message.
const MAX_ERROR_TEXT: usize = 300;

/// The failure of a request of the slave to a child. The text reaches the log and `doctor`.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("it ended during its start: {0}")]
    Gone(#[from] Failure),
    #[error("it answered {method} with an error: {error}")]
    Refused { method: &'static str, error: String },
    #[error("its answer to {method} cannot be used: {reason}")]
    Unexpected { method: &'static str, reason: String },
    #[error("it has read server/discover and answers nothing")]
    Stuck,
    #[error("it supports none of the slave's versions of MCP; its own: {0}")]
    Version(String),
}

impl RequestError {
    /// Returns the error of a request that failed.
    pub(super) fn of(failure: Failure, method: &'static str) -> Self {
        match failure {
            Failure::BadAnswer(reason) | Failure::ResultTooLarge(reason) => {
                Self::Unexpected { method, reason }
            }
            gone => Self::Gone(gone),
        }
    }
}

/// Sends a request; `message` returns it for an id.
pub(super) async fn send(
    session: &Arc<Session>,
    message: impl FnOnce(u64) -> Bytes,
) -> Result<OutboundRequest, RequestError> {
    send_as(session, RequestKind::Own, message).await
}

/// Sends a request of this kind; `message` returns it for an id.
pub(super) async fn send_as(
    session: &Arc<Session>,
    kind: RequestKind,
    message: impl FnOnce(u64) -> Bytes,
) -> Result<OutboundRequest, RequestError> {
    let mut request = session.begin(kind)?;
    request.send(message(request.id)).await?;
    Ok(request)
}

/// Returns the `result` of an answer.
pub(super) fn expect_result(answer: Incoming, method: &'static str) -> Result<Bytes, RequestError> {
    match answer {
        Incoming::Result { json, .. } => Ok(json),
        Incoming::Error(error) => {
            let error = String::from_utf8_lossy(&error).chars().take(MAX_ERROR_TEXT).collect();
            Err(RequestError::Refused { method, error })
        }
        Incoming::Failed(failure) => Err(RequestError::of(failure, method)),
        Incoming::Progress { .. }
        | Incoming::Log(_)
        | Incoming::Extension(_)
        | Incoming::TaskStatus { .. }
        | Incoming::Request(_)
        | Incoming::Withdrawn(_)
        | Incoming::Alive => {
            Err(RequestError::Unexpected { method, reason: "an event for a request without a token".into() })
        }
    }
}

/// Parses a `result`.
pub(super) fn parse<'a, T: Deserialize<'a>>(
    result: &'a [u8],
    method: &'static str,
) -> Result<T, RequestError> {
    serde_json::from_slice(result)
        .map_err(|error| RequestError::Unexpected { method, reason: error.to_string() })
}
