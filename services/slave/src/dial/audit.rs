//! Audit lines of links to proxies: each attempt with its outcome, and the end of each link. Never contains a code.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::audit::{self, AuditLine};

use crate::config::ProxyUrl;
use crate::link::DisconnectReason;

/// Records a link that is up.
pub(super) fn linked(url: &ProxyUrl, address: SocketAddr) {
    if audit::is_on() {
        audit::write_line(about("link", url, address).with("outcome", "linked"));
    }
}

/// Records an attempt that failed.
pub(super) fn failed(url: &ProxyUrl, address: SocketAddr, outcome: &'static str, reason: &DisconnectReason) {
    if audit::is_on() {
        let line = about("link", url, address).with("outcome", outcome);
        audit::write_line(line.with("reason", reason.kind()).with("detail", reason.to_string()));
    }
}

/// Records the end of a link.
pub(super) fn closed(url: &ProxyUrl, address: SocketAddr, reason: &DisconnectReason, duration: Duration) {
    if audit::is_on() {
        let line = about("link_closed", url, address)
            .with("reason", reason.kind())
            .with("detail", reason.to_string());
        audit::write_line(line.with("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
    }
}

fn about(event: &'static str, url: &ProxyUrl, address: SocketAddr) -> AuditLine {
    AuditLine::new(event).with("proxy", url.to_string()).with("address", address.to_string())
}
