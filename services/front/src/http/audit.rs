//! Refused requests in the audit stream. Calls are recorded by the implementation of [`crate::calls::Calls`].

use std::net::IpAddr;

use axum::http::request::Parts;
use protocol::mcp::failure::Failure;
use runtime::audit::{self, AuditLine};

/// Records a refused request, if the reason concerns access. Credentials of the request are not recorded.
pub(crate) fn record_refusal(head: &Parts, peer: Option<IpAddr>, failure: &Failure) {
    if !audit::is_on() || !concerns_access(failure) {
        return;
    }
    let line = AuditLine::new("request_refused")
        .with("reason", failure.spec().kind)
        .with("detail", failure.to_string())
        .with("peer", peer.map(|peer| peer.to_string()))
        .with("method", head.method.as_str())
        .with("path", head.uri.path());
    audit::write_line(line);
}

fn concerns_access(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Unauthorized(_)
            | Failure::AnonymousRefused
            | Failure::KeyForbidden(_)
            | Failure::OriginForbidden(_)
            | Failure::HostForbidden(_)
            | Failure::SessionNotFound
    )
}
