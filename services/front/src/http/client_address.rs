//! The address of a request's client: of the connection, and as trusted forwarding proxies name it. Must not know what the
//! address is used for.

use std::net::IpAddr;

use axum::http::HeaderMap;
use runtime::trusted::TrustedProxies;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    /// The other end of the connection; `None` for requests from within this process.
    pub(crate) connection: Option<IpAddr>,
    /// The client, as far as the forwarding proxies can be trusted.
    pub(crate) named: Option<IpAddr>,
}

impl ClientAddress {
    /// Returns the address of a request with these headers.
    pub(crate) fn of(trusted: &TrustedProxies, connection: Option<IpAddr>, headers: &HeaderMap) -> Self {
        Self { connection, named: connection.map(|peer| trusted.client(peer, headers)) }
    }
}
