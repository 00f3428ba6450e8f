//! `/health`: a JSON object that identifies the server. Must not know clients.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response, StatusCode};
use protocol::mcp::era::Version;

use super::response::json;
use super::response_body::ResponseBody;
use crate::calls::Calls;
use crate::edge::Edge;
use crate::jsonrpc::Segments;

/// Path of the endpoint, which needs no key.
pub(crate) const HEALTH: &str = "/health";

/// Builds the response: identity of the server and the number of open GET streams.
pub(crate) fn health<C: Calls>(edge: &Edge<C>) -> Response<ResponseBody<C::Stream>> {
    let body = serde_json::json!({
        "status": "ok",
        "server": edge.config.name,
        "role": edge.config.role,
        "version": edge.config.version,
        "protocol": Version::NEWEST.as_str(),
        "activeSessions": edge.listening_streams(),
    });
    let mut response = json(StatusCode::OK, Segments::one(body.to_string().into()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
