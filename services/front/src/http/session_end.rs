//! DELETE: a legacy client ends its session (2025-11-25, Transports, "Session Management"). Must not know calls.

use axum::http::StatusCode;
use protocol::mcp::failure::Failure;

use super::context::{HandlerResult, RequestContext};
use super::era;
use super::response::empty;
use crate::calls::Calls;

/// Handles a DELETE request: revokes the session's token and releases what is kept for the session.
pub(crate) fn handle<C: Calls>(context: &RequestContext<'_, C>) -> HandlerResult<C::Stream> {
    let session = era::check_http_method(context.headers, "DELETE")
        .and_then(|()| era::session(context))
        .and_then(|session| session.ok_or(Failure::SessionNotFound))
        .map_err(|failure| context.refusal(failure))?;
    context.edge.end_session(&session);
    Ok(empty(StatusCode::OK))
}
