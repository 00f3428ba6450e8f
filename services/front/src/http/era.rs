//! The rules that differ between MCP's two eras on HTTP: which era a message is of, how its sender is identified, and
//! what an era permits. Must not know what methods do.
//!
//! [`detect`] decides the era, [`modern`] and [`legacy`] check a message by the rules of theirs. Versions and their
//! eras are in `protocol::mcp::era`, the methods of each era in `crate::method`, the HTTP status of a failure in each
//! era in `protocol::mcp::failure`.

pub(super) mod detect;
mod legacy;
mod modern;

use axum::http::{HeaderMap, StatusCode};
use protocol::mcp::envelope::Params;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use super::context::RequestContext;
use crate::method::Caller;
use crate::session::Session;
use detect::era_by_header;
pub(crate) use detect::era_of;
pub(crate) use legacy::{open_session, session};
pub(crate) use modern::require_tasks;

/// Identifies the sender of a request by the rules of its era.
pub(crate) fn caller<C>(
    context: &RequestContext<'_, C>,
    era: Era,
    method: &str,
    params: &Params<'_>,
) -> Result<Caller, Failure> {
    match (era, method) {
        (Era::Modern, _) => modern::caller(context.headers, method, params),
        (Era::Legacy, "initialize") => Ok(legacy::initialize(context.headers)),
        (Era::Legacy, _) => legacy::caller(context),
    }
}

/// Identifies the sender of a notification. `None` in the modern era: 2026-07-28 has no header rules for
/// notifications, and no notification that a client sends over HTTP.
pub(crate) fn notification_sender<C>(
    context: &RequestContext<'_, C>,
    era: Era,
) -> Result<Option<Caller>, Failure> {
    match era {
        Era::Legacy => legacy::caller(context).map(Some),
        Era::Modern => Ok(None),
    }
}

/// Identifies the sender of a batch. Batches exist in 2025-03-26 and were accepted before; later versions removed them.
pub(crate) fn batch_sender<C>(context: &RequestContext<'_, C>) -> Result<Caller, Failure> {
    let invalid =
        || Failure::InvalidRequest("a body is one message: batches exist only in 2025-03-26".to_owned());
    if era_by_header(context.headers) == Era::Modern {
        return Err(invalid());
    }
    let caller = legacy::caller(context)?;
    if caller.version > Version::V2025_03_26 { Err(invalid()) } else { Ok(caller) }
}

/// Identifies the sender of a JSON-RPC response. Modern clients send none.
pub(crate) fn response_sender<C>(context: &RequestContext<'_, C>) -> Result<Caller, Failure> {
    if era_by_header(context.headers) == Era::Modern {
        return Err(Failure::InvalidRequest("clients send no responses in this version".into()));
    }
    legacy::caller(context)
}

/// Checks the session and the version of a legacy client that opens a GET stream. Returns the session, if it has one.
pub(crate) fn stream_opener<C>(context: &RequestContext<'_, C>) -> Result<Option<Session>, Failure> {
    legacy::caller(context)?;
    legacy::session(context)
}

/// Refuses GET and DELETE of modern clients, which have neither listening streams nor sessions (2026-07-28, Streamable
/// HTTP, "Earlier Revisions").
pub(crate) fn check_http_method(headers: &HeaderMap, http_method: &str) -> Result<(), Failure> {
    match era_by_header(headers) {
        Era::Modern => Err(Failure::HttpMethodNotAllowed(http_method.to_owned())),
        Era::Legacy => Ok(()),
    }
}

/// Returns the HTTP status of a backend's response: 200 for legacy clients, for modern ones the status that belongs to
/// the error.
pub(crate) fn backend_status(version: Version, status: u16) -> StatusCode {
    match version.era() {
        // Other statuses forbid a body or promise something else than an error.
        Era::Modern if (400..600).contains(&status) => StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        _ => StatusCode::OK,
    }
}
