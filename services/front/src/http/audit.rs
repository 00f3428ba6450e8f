//! Refused requests in log and audit stream. Calls are recorded by the implementation of [`crate::calls::Calls`].

use std::net::IpAddr;

use axum::http::request::Parts;
use protocol::mcp::failure::{Failure, FailureKind};
use runtime::audit::{self, AuditLine};
use runtime::repeats::{self, Kind, Repeats};

/// Refused requests, as lines of log and audit stream.
static REFUSED: Kind = Kind { name: "request_refusal", write: write_repeats };

/// Writes how many more requests of one network were refused.
fn write_repeats(more: &Repeats) {
    if more.reason == FailureKind::Unauthorized.as_str() {
        let (peer, reason, count) = (more.peers(), more.reason, more.count);
        tracing::info!(peer, "Request refused: {reason}, and {count} more like it in the last second");
    }
    if audit::is_on() {
        let line = AuditLine::new("request_refused")
            .with("reason", more.reason)
            .with("peer", more.peers())
            .with("repeats", more.count);
        audit::write_line(line);
    }
}

/// Records a refused request, if the reason concerns access: the first one of an address and second as a line of its
/// own, further ones by their count. Credentials of the request are not recorded.
pub(crate) fn record_refusal(head: &Parts, peer: Option<IpAddr>, failure: &Failure) {
    let reason = failure.spec().kind;
    if !concerns_access(failure) || !repeats::is_first(&REFUSED, peer, reason) {
        return;
    }
    if matches!(failure, Failure::Unauthorized(_)) {
        let peer = peer.map_or_else(|| "?".to_owned(), |peer| peer.to_string());
        tracing::info!(peer, "Request refused: {failure}");
    }
    if audit::is_on() {
        let line = AuditLine::new("request_refused")
            .with("reason", reason)
            .with("detail", failure.to_string())
            .with("peer", peer.map(|peer| peer.to_string()))
            .with("method", head.method.as_str())
            .with("path", head.uri.path());
        audit::write_line(line);
    }
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
