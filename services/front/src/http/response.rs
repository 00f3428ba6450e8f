//! HTTP responses of the edge, and the only place that turns a failure into one. Must not know the causes of failures.

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

use super::era::detect::{VERSION, era_by_header};
use super::response_body::ResponseBody;
use crate::jsonrpc::{Segments, UnknownId, error_response, error_without_id};

/// `Mcp-Session-Id`.
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `X-Accel-Buffering`, which tells nginx not to buffer events.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// HTTP methods of the MCP endpoint.
pub(crate) const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, DELETE, OPTIONS");

/// Refusal of a request: the reason, and what the response needs to know of the request.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(crate) era: Era,
    /// Id of the request, as raw JSON, where it could be read.
    pub(crate) id: Option<Box<str>>,
}

impl Refusal {
    /// Refusal of a request of which only the head was read.
    pub(crate) fn unread(failure: Failure, headers: &HeaderMap) -> Self {
        Self { failure, era: era_by_header(headers), id: None }
    }
}

/// Builds the response of a refusal: status, headers and JSON-RPC error of the failure table. `headers` are the request's.
pub(crate) fn refusal_response<S>(refusal: &Refusal, headers: &HeaderMap) -> Response<ResponseBody<S>> {
    let failure = &refusal.failure;
    let status =
        StatusCode::from_u16(failure.status(refusal.era)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = match (&refusal.id, refusal.era) {
        (None, Era::Legacy) => {
            Segments::one(error_without_id(failure, Era::Legacy, unknown_id(headers)).into())
        }
        (id, era) => error_response(id.as_deref().map(str::as_bytes), failure, era),
    };
    let mut response = json(status, message);
    let headers = response.headers_mut();
    match failure {
        Failure::Unauthorized(_) | Failure::AnonymousRefused => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mcp\""));
        }
        Failure::InsufficientScope { scopes } => {
            let challenge = format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "));
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        Failure::HttpMethodNotAllowed(_) => {
            headers.insert(ALLOW, METHODS);
        }
        _ => {}
    }
    // RFC 9110, 10.2.3, and RFC 6585, 4, give the header a meaning with these; other responses have it in their body alone.
    let is_temporary = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(seconds) = failure.retry_after().filter(|_| is_temporary) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns what stands in place of an id, by the version that the request names: one that is not known is later than those that are.
fn unknown_id(headers: &HeaderMap) -> UnknownId {
    let version = headers.get(VERSION).and_then(|version| version.to_str().ok());
    let version = version.map_or(Some(Version::UNNAMED), |version| Version::parse(version.trim()));
    version.map_or(UnknownId::Absent, UnknownId::of)
}

/// Builds a response of one complete JSON message.
pub(crate) fn json<S>(status: StatusCode, message: Segments) -> Response<ResponseBody<S>> {
    with_type(status, JSON, ResponseBody::Whole(message))
}

/// Builds a response of JSON that arrives in pieces.
pub(crate) fn json_stream<S>(status: StatusCode, body: ResponseBody<S>) -> Response<ResponseBody<S>> {
    with_type(status, JSON, body)
}

/// Builds a response of server-sent events (2026-07-28, Streamable HTTP, "Receiving Messages").
pub(crate) fn events<S>(body: ResponseBody<S>) -> Response<ResponseBody<S>> {
    let mut response = with_type(StatusCode::OK, EVENTS, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Builds a response without a body.
pub(crate) fn empty<S>(status: StatusCode) -> Response<ResponseBody<S>> {
    let mut response = Response::new(ResponseBody::Whole(Segments::default()));
    *response.status_mut() = status;
    response
}

fn with_type<S>(status: StatusCode, kind: HeaderValue, body: ResponseBody<S>) -> Response<ResponseBody<S>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
