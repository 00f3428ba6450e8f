//! HTTP responses of the broker: JSON for clients, pages and redirects for browsers. Must not know what they say.

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, PRAGMA, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::Value;

fn with(
    status: StatusCode,
    headers: &[(HeaderName, &'static str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// JSON for any page: nothing here is asked for with a browser's own credentials.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Bytes> {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (PRAGMA, "no-cache"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    with(status, &headers, value.to_string())
}

/// JSON that may be kept for a while.
pub(crate) fn document(value: &Value) -> Response<Bytes> {
    let mut response = json(StatusCode::OK, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response.headers_mut().remove(PRAGMA);
    response
}

/// An empty answer.
pub(crate) fn done() -> Response<Bytes> {
    with(StatusCode::OK, &[(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Bytes::new())
}

pub(crate) fn preflight() -> Response<Bytes> {
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type, mcp-protocol-version"),
        (ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    with(StatusCode::NO_CONTENT, &headers, Bytes::new())
}

pub(crate) fn not_found() -> Response<Bytes> {
    with(StatusCode::NOT_FOUND, &[(CACHE_CONTROL, "no-store")], Bytes::new())
}

pub(crate) fn method_not_allowed(methods: &'static str) -> Response<Bytes> {
    with(StatusCode::METHOD_NOT_ALLOWED, &[(ALLOW, methods), (CACHE_CONTROL, "no-store")], Bytes::new())
}

/// A page, with its content security policy.
pub(crate) fn page(status: StatusCode, policy: &str, html: String) -> Response<Bytes> {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Forms of pages without a referrer would have no usable Origin.
        (REFERRER_POLICY, "same-origin"),
    ];
    let mut response = with(status, &headers, html);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A redirect that a browser follows with GET.
pub(crate) fn redirect(to: &str) -> Response<Bytes> {
    let headers = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    let mut response = with(StatusCode::SEE_OTHER, &headers, Bytes::new());
    if let Ok(to) = HeaderValue::try_from(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

pub(crate) fn set_cookie(mut response: Response<Bytes>, cookie: &str) -> Response<Bytes> {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

pub(crate) fn retry_after(mut response: Response<Bytes>, seconds: u64) -> Response<Bytes> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}
