//! HTTP servers: the clients' port, and the operators' endpoints on it or on a port of their own. Must not know what
//! takes the calls.

mod admission;
mod automatic;
mod follow;
mod guarded;
mod head;
mod limits;
mod open_stream;
mod ops_access;
mod ops_port;
mod ops_router;
mod page_request;
mod parting;
mod placeholder;
mod port;
mod progress;
mod raw_head;
mod request_body;
mod request_router;
mod serve;
mod stream;
mod upgrade;
mod user_timeout;
mod watched;

use std::net::SocketAddr;

use axum::http::HeaderName;
use runtime::config::{CommonConfig, IssuersConfig};

use crate::config::{BindScope, EdgeConfig};
pub use follow::{AccessFile, follow_access};
pub use ops_port::OpsPort;
pub use port::Port;
pub use serve::serve;
pub use upgrade::{AfterUpgrade, Upgrade, UpgradeAnswer, Upgrades};

impl EdgeConfig {
    /// Returns the edge's settings as every mode configures them. `role` is what this process is, say `proxy`.
    pub fn from_common(common: &CommonConfig, role: &str, address: SocketAddr) -> Self {
        let mut config = Self::new("mcp-relay", env!("CARGO_PKG_VERSION"), common.session.keys.clone());
        role.clone_into(&mut config.role);
        config.keys = common.access.clients.store();
        config.tokens = common.access.issuers.as_ref().map(IssuersConfig::verifier);
        config.ops_keys = common.access.operators.store();
        config.anonymous = common.access.anonymous;
        config.hosts = common.access.hosts.clone();
        config.key_header = common.auth_header.as_deref().and_then(|name| HeaderName::try_from(name).ok());
        config.origins = common.allowed_origins.clone();
        config.exposure = BindScope::of(address.ip());
        config.max_body = common.max_body_bytes;
        config.limits = common.clients;
        config.session_ttl = common.session_ttl;
        config.list_ttl = common.list_ttl;
        config.keepalive = common.sse_keepalive;
        config.sse_after = common.sse_after;
        config.request_timeout = common.request_timeout;
        config.request_timeout_total = common.request_timeout_total;
        config
    }
}
