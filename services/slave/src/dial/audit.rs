//! What the audit stream has of links to proxies: each attempt with its outcome, and the end of each link. Never a code.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::audit::{self, Line};

use crate::config::ProxyUrl;
use crate::link::Ended;

/// A link is up.
pub(super) fn linked(to: (&ProxyUrl, SocketAddr)) {
    if audit::is_on() {
        audit::tell(about("link", to).with("outcome", "linked"));
    }
}

/// An attempt failed.
pub(super) fn failed(to: (&ProxyUrl, SocketAddr), outcome: &'static str, ended: &Ended) {
    if audit::is_on() {
        let line = about("link", to).with("outcome", outcome);
        audit::tell(line.with("reason", ended.kind()).with("detail", ended.to_string()));
    }
}

/// A link ended.
pub(super) fn closed(to: (&ProxyUrl, SocketAddr), ended: &Ended, held: Duration) {
    if audit::is_on() {
        let line = about("link_closed", to).with("reason", ended.kind()).with("detail", ended.to_string());
        audit::tell(line.with("duration_ms", u64::try_from(held.as_millis()).unwrap_or(u64::MAX)));
    }
}

fn about(event: &'static str, (url, address): (&ProxyUrl, SocketAddr)) -> Line {
    Line::new(event).with("proxy", url.to_string()).with("address", address.to_string())
}
