//! Reports of connections to the slaves' port that did not become a link: metric, log and audit stream. The first one of
//! an address and second is written whole, further ones are counted. Must not know why they failed.

use std::net::SocketAddr;
use std::time::Instant;

use link::OpeningFault;
use runtime::repeats::{Kind, Repeats, is_first};

use super::admission::{Admission, Rejected};
use super::auth::AuthError;
use super::{audit, stranger};
use crate::access::{AccessDenied, InvalidCode};
use crate::metrics;

static ATTEMPTS: Kind = Kind {
    name: "slave_attempt",
    write: |more| {
        let (peer, count, seconds) = (more.peers(), more.count, more.seconds);
        tracing::info!(
            peer,
            "New slave connection attempt, and {count} more like it in the last {seconds} s"
        );
    },
};

static REFUSALS: Kind = Kind { name: "slave_refusal", write: write_refusals };

fn write_refusals(more: &Repeats) {
    audit::refused_more(more);
    let (peer, reason, count, seconds) = (more.peers(), more.reason, more.count, more.seconds);
    // The log names the rate at intervals.
    if reason == Rejected::Rate(0).kind() {
        tracing::debug!(peer, "{count} more slave connections rejected in the last {seconds} s");
    } else {
        tracing::warn!(
            peer,
            "Slave connection refused: {reason}, and {count} more like it in the last {seconds} s"
        );
    }
}

/// Reports a connection that was let in: once it is known that it is not one of a slave that is linked already and looks for
/// other proxies, as those come again and again.
pub(super) fn record_attempt(peer: SocketAddr) {
    if is_first(&ATTEMPTS, Some(peer.ip()), "") {
        tracing::info!(%peer, "New slave connection attempt");
    }
}

/// Reports a connection that was not let in.
pub(super) fn record_rejected(peer: SocketAddr, rejected: Rejected, admission: &Admission) {
    let kind = rejected.kind();
    metrics::record_auth_failure(kind);
    let is_first = is_first(&REFUSALS, Some(peer.ip()), kind);
    if is_first {
        audit::refused(peer, kind, || rejected.to_string());
    }
    match rejected {
        Rejected::Rate(seconds) => {
            if is_first {
                tracing::debug!(%peer, "Slave connection rejected for {seconds} s");
            }
            if admission.should_log(Instant::now()) {
                tracing::warn!(
                    "Slaves connect faster than HANDSHAKE_RATE: some are rejected and retry later"
                );
            }
        }
        Rejected::Unauthenticated if is_first => {
            tracing::warn!(%peer, "Slave connection refused: {rejected}");
        }
        Rejected::Unauthenticated => {}
    }
}

/// Reports a connection that asked for no WebSocket. Health checks are no failures.
pub(super) fn report_stranger(peer: SocketAddr, fault: &OpeningFault) {
    let kind = match fault {
        _ if stranger::is_health_check(fault) => return,
        OpeningFault::Closed | OpeningFault::Io(_) => "closed",
        _ => "no_websocket",
    };
    metrics::record_auth_failure(kind);
    if matches!(fault, OpeningFault::NotHttp { tls: true }) {
        report_tls(peer);
    } else {
        stranger::report(peer, kind, fault);
    }
}

/// Reports a peer that speaks TLS to a port that does not: a wrong URL, not a probe.
fn report_tls(peer: SocketAddr) {
    const WHY: &str = "the peer speaks TLS, and this port does not";
    if is_first(&REFUSALS, Some(peer.ip()), "no_websocket") {
        audit::refused(peer, "no_websocket", || WHY.to_owned());
        tracing::warn!(%peer, "Slave connection refused: {WHY}. Fix: use ws:// in the slave's PROXY_SERVER_URL, or set TLS_CERT and TLS_KEY here");
    }
}

/// Reports a slave at the clients' port that shows no certificate of `TLS_CLIENT_CA`.
pub(super) fn report_uncertified(peer: SocketAddr) {
    const KIND: &str = "tls";
    const WHY: &str = "it shows no certificate of TLS_CLIENT_CA";
    metrics::record_auth_failure(KIND);
    if is_first(&REFUSALS, Some(peer.ip()), KIND) {
        audit::refused(peer, KIND, || WHY.to_owned());
        tracing::warn!(%peer, "Slave connection refused at the clients' port: {WHY}. Fix: set PROXY_CLIENT_CERT and PROXY_CLIENT_KEY at the slave; behind something that ends TLS, slaves with certificates need a port of their own");
    }
}

/// Reports a connection that failed to authenticate.
pub(super) fn report(peer: SocketAddr, error: &AuthError) {
    metrics::record_auth_failure(error.kind());
    if error.is_probe() {
        stranger::report(peer, error.kind(), error);
        return;
    }
    if !is_first(&REFUSALS, Some(peer.ip()), error.kind()) {
        return;
    }
    audit::refused(peer, error.kind(), || error.to_string());
    if let AuthError::NotAllowed { denied: AccessDenied::Code(InvalidCode::Unknown), .. } = error {
        tracing::warn!(%peer, "Invalid slave code: it must be one of SLAVE_CODES or SLAVE_CODES_FILE, letter case included");
    } else {
        tracing::warn!(%peer, "Slave connection refused: {error}");
    }
}

/// Reports an authenticated slave for which there is no place.
pub(super) fn record_full(peer: SocketAddr, kind: &'static str, why: &str) {
    metrics::record_auth_failure(kind);
    if is_first(&REFUSALS, Some(peer.ip()), kind) {
        audit::refused(peer, kind, || why.to_owned());
        tracing::warn!(%peer, "Slave rejected: {why}");
    }
}
