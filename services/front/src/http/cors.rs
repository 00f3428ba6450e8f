//! Cross-origin answers for browsers (Fetch standard, "CORS protocol"). Must not decide which origins are allowed.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, VARY,
};
use axum::http::{HeaderMap, HeaderValue};

use super::response::METHODS;

const EXPOSED: HeaderValue = HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate, Retry-After");

/// What a page of an allowed origin may read of a response.
pub(crate) fn expose(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// What the answer to OPTIONS says. The headers asked for are granted as they are: their names are the tools'
/// (`Mcp-Param-*`) or the operator's (`AUTH_CUSTOM_HEADER`), and `*` would leave out `Authorization`.
pub(crate) fn preflight(request: &HeaderMap, headers: &mut HeaderMap) {
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
