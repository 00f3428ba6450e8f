//! What the audit stream has of requests that may not be made. Calls are told by whoever takes them.

use std::net::IpAddr;

use axum::http::request::Parts;
use protocol::mcp::failure::Failure;
use runtime::audit::{self, Line};

/// A request was refused. Only what concerns who may ask is told, never what was shown.
pub(crate) fn record_refusal(head: &Parts, peer: Option<IpAddr>, failure: &Failure) {
    if !audit::is_on() || !concerns_access(failure) {
        return;
    }
    let line = Line::new("request_refused")
        .with("reason", failure.spec().kind)
        .with("detail", failure.to_string())
        .with("peer", peer.map(|peer| peer.to_string()))
        .with("method", head.method.as_str())
        .with("path", head.uri.path());
    audit::tell(line);
}

fn concerns_access(failure: &Failure) -> bool {
    matches!(failure, Failure::Unauthorized(_) | Failure::OriginForbidden(_) | Failure::SessionNotFound)
}
