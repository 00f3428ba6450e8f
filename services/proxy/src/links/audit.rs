//! What the audit stream has of slaves' connections: each attempt with its outcome, and the end of each link. Never a code.

use std::net::SocketAddr;
use std::time::Instant;

use runtime::audit::{self, Line};

use super::pump::Departure;
use super::slave::Slave;

/// A connection did not become a link.
pub(super) fn refused(peer: SocketAddr, reason: &'static str, detail: impl FnOnce() -> String) {
    if audit::is_on() {
        let line = attempt("refused", peer).with("reason", reason).with("detail", detail());
        audit::tell(line);
    }
}

/// A slave, or who has its code, only asked something.
pub(super) fn asked(peer: SocketAddr, outcome: &'static str) {
    if audit::is_on() {
        audit::tell(attempt(outcome, peer));
    }
}

/// A connection became a link.
pub(super) fn linked(peer: SocketAddr, slave: &Slave, dialect: &'static str) {
    if !audit::is_on() {
        return;
    }
    let grant = slave.grant();
    let line = attempt("linked", peer)
        .with("slave", slave.name.as_str())
        .with("code", grant.identity_or_dash())
        .with("dialect", dialect);
    audit::tell(line);
}

/// A link ended.
pub(super) fn closed(slave: &Slave, departure: &Departure, since: Instant) {
    if audit::is_on() {
        let line = Line::new("link_closed")
            .with("slave", slave.name.as_str())
            .with("reason", departure.kind())
            .with("detail", departure.to_string())
            .with("duration_ms", u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        audit::tell(line);
    }
}

fn attempt(outcome: &'static str, peer: SocketAddr) -> Line {
    Line::new("link").with("outcome", outcome).with("peer", peer.to_string())
}
