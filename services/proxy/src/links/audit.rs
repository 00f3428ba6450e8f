//! Audit lines of slaves' connections: each attempt with its outcome, and the end of each link. Never contains a code.

use std::net::SocketAddr;
use std::time::Instant;

use runtime::audit::{self, AuditLine};
use runtime::repeats::Repeats;

use super::catalog::CatalogRefusal;
use super::disconnect::DisconnectReason;
use super::slave::Slave;

/// Records a connection that did not become a link.
pub(super) fn refused(peer: SocketAddr, reason: &'static str, detail: impl FnOnce() -> String) {
    if audit::is_on() {
        let line = attempt("refused", peer).with("reason", reason).with("detail", detail());
        audit::write_line(line);
    }
}

/// Records how many more connections of one network were refused.
pub(super) fn refused_more(repeats: &Repeats) {
    if audit::is_on() {
        let line = AuditLine::new("link")
            .with("outcome", "refused")
            .with("peer", repeats.peers())
            .with("reason", repeats.reason)
            .with("repeats", repeats.count);
        audit::write_line(line);
    }
}

/// Records a connection that only asked something.
pub(super) fn asked(peer: SocketAddr, outcome: &'static str) {
    if audit::is_on() {
        audit::write_line(attempt(outcome, peer));
    }
}

/// Records a connection that became a link.
pub(super) fn linked(peer: SocketAddr, slave: &Slave, dialect: &'static str) {
    if !audit::is_on() {
        return;
    }
    let grant = slave.grant();
    let line = attempt("linked", peer)
        .with("slave", slave.name.as_str())
        .with("code", grant.identity().to_string())
        .with("key_id", grant.key_id())
        .with("dialect", dialect);
    audit::write_line(line);
}

/// Records the end of a link.
pub(super) fn closed(slave: &Slave, reason: &DisconnectReason, since: Instant) {
    if audit::is_on() {
        let line = AuditLine::new("link_closed")
            .with("slave", slave.name.as_str())
            .with("reason", reason.kind())
            .with("detail", reason.to_string())
            .with("duration_ms", u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        audit::write_line(line);
    }
}

/// Records that a part of a slave's catalog is left out.
pub(super) fn catalog_refused(slave: &Slave, refusal: &CatalogRefusal) {
    if audit::is_on() {
        let line = AuditLine::new("catalog")
            .with("outcome", "refused")
            .with("slave", slave.name.as_str())
            .with("code", slave.grant().identity().to_string())
            .with("reason", refusal.kind())
            .with("detail", refusal.to_string());
        audit::write_line(line);
    }
}

fn attempt(outcome: &'static str, peer: SocketAddr) -> AuditLine {
    AuditLine::new("link").with("outcome", outcome).with("peer", peer.to_string())
}
