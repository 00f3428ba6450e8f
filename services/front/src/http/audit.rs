//! Requests in log and audit stream: those that are refused, calls that must be written down before they begin, and
//! operators' reads. How calls end is recorded by the implementation of [`crate::calls::Calls`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use parking_lot::Mutex;
use protocol::mcp::failure::{Failure, FailureKind};
use runtime::audit::{self, AuditLine};
use runtime::repeats::{self, Kind, Repeats};

use super::context::RequestContext;
use crate::principal::Credential;

/// Time for which one line stands for all reads of the same path by the same reader: pages read every two seconds.
const READS_INTERVAL: Duration = Duration::from_mins(1);

/// Readers that are told apart; those beyond have a line for each read.
const MAX_READERS: usize = 256;

/// A reader and what it reads.
type Reader = (Option<String>, Option<IpAddr>, String);

/// When the last line about a reader was written.
static READS: LazyLock<Mutex<HashMap<Reader, Instant>>> = LazyLock::new(Mutex::default);

/// Refused requests, as lines of log and audit stream.
static REFUSED: Kind = Kind { name: "request_refusal", write: write_repeats };

/// Writes how many more requests of one network were refused.
fn write_repeats(more: &Repeats) {
    if more.reason == FailureKind::Unauthorized.as_str() {
        let (peer, reason, count, seconds) = (more.peers(), more.reason, more.count, more.seconds);
        tracing::info!(peer, "Request refused: {reason}, and {count} more like it in the last {seconds} s");
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
            | Failure::Forbidden(_)
            | Failure::InsufficientScope { .. }
            | Failure::IssuerUnavailable { .. }
            | Failure::OriginForbidden(_)
            | Failure::HostForbidden(_)
            | Failure::SessionNotFound
    )
}

/// Writes down that a call begins, where calls must be written down (`AUDIT_REQUIRED`). `tool` is empty for a batch.
///
/// # Errors
/// The line is not with the target: the call must not begin.
pub(crate) async fn begin_call<C>(context: &RequestContext<'_, C>, tool: &str) -> Result<(), Failure> {
    if !audit::is_required() {
        return Ok(());
    }
    let holder = context.credential.identity();
    // A key without issuer is told by its id.
    let holder = holder.as_deref().filter(|holder| holder.issuer.is_some());
    let line = AuditLine::new("call_begun")
        .with("client_key_id", context.credential.key_id())
        .with("client_issuer", holder.and_then(|holder| holder.issuer.as_deref()))
        .with("client_subject", holder.map(|holder| holder.subject.as_str()))
        .with("peer", context.peer.map(|peer| peer.to_string()))
        .with("tool", tool);
    audit::confirm(line).await.map_err(|why| Failure::AuditUnavailable(why.as_str()))
}

/// Records that an operator reads the API at `path`: once a minute for each reader and path.
pub(crate) fn record_read(path: &str, peer: Option<IpAddr>, reader: &Credential) {
    if !audit::is_on() || !is_due((reader.key_id(), peer, path.to_owned()), Instant::now()) {
        return;
    }
    let line = AuditLine::new("api_read")
        .with("key_id", reader.key_id())
        .with("peer", peer.map(|peer| peer.to_string()))
        .with("path", path);
    audit::write_line(line);
}

fn is_due(reader: Reader, now: Instant) -> bool {
    let mut reads = READS.lock();
    if reads.get(&reader).is_some_and(|last| now.duration_since(*last) < READS_INTERVAL) {
        return false;
    }
    if reads.len() >= MAX_READERS {
        reads.retain(|_, last| now.duration_since(*last) < READS_INTERVAL);
    }
    if reads.len() < MAX_READERS {
        reads.insert(reader, now);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_one_line_a_minute_for_each_path_and_memory_is_bounded() {
        let reader = |path: &str| (Some("id".to_owned()), None, path.to_owned());
        let now = Instant::now();
        assert!(is_due(reader("/a"), now) && is_due(reader("/b"), now));
        assert!(!is_due(reader("/a"), now + READS_INTERVAL / 2));
        assert!(is_due(reader("/a"), now + READS_INTERVAL));
        for n in 0..2 * MAX_READERS {
            is_due(reader(&n.to_string()), now + READS_INTERVAL);
        }
        assert!(READS.lock().len() <= MAX_READERS);
    }
}
