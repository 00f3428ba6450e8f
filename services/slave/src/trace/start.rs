//! Spans that belong to no call, each a trace of its own: the start of a backend's process, and of a link. Must not know
//! links or processes.
//!
//! The spans are of the `tracing` crate: they are created when what they cover begins, and have no remote parent. While
//! traces are off they are disabled.

use std::net::{IpAddr, SocketAddr};

use protocol::mcp::era::Version;
use runtime::traces::TARGET;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The start of a backend's process, until its tools are offered or it has ended.
pub(crate) struct BackendStart(Option<Span>);

impl BackendStart {
    /// Starts the span of a process that is about to be started for this backend.
    pub(crate) fn start(backend: &str) -> Self {
        Self(Some(info_span!(
            target: TARGET,
            parent: None,
            "backend start",
            "mcp_relay.backend" = backend,
            "mcp.protocol.version" = Empty,
            "mcp_relay.outcome" = Empty,
            "error.type" = Empty,
            "otel.status_description" = Empty,
        )))
    }

    /// Ends the span: the backend's tools are offered. `version` is that of MCP.
    pub(crate) fn ready(&mut self, version: Version) {
        if let Some(span) = self.0.take() {
            span.record("mcp.protocol.version", version.as_str());
            span.record("mcp_relay.outcome", "ready");
        }
    }

    /// Ends the span: the process has ended. `reason` is that of the metric. Without effect after [`Self::ready`].
    pub(crate) fn end(&mut self, reason: &'static str) {
        let Some(span) = self.0.take() else { return };
        span.record("mcp_relay.outcome", reason);
        if reason != "stopped" {
            fail(&span, reason);
        }
    }
}

/// The start of a link, from dialling the proxy until the link is authenticated or refused.
pub(crate) struct LinkStart(Span);

impl LinkStart {
    /// Starts the span of a proxy, named by the host and port of its URL, that is dialled at `address`.
    pub(crate) fn start(host: &str, port: u16, address: SocketAddr) -> Self {
        let peer: IpAddr = address.ip();
        Self(info_span!(
            target: TARGET,
            parent: None,
            "link",
            "otel.kind" = "client",
            "server.address" = host,
            "server.port" = i64::from(port),
            "network.peer.address" = %peer,
            "network.peer.port" = i64::from(address.port()),
            "network.transport" = "tcp",
            "network.protocol.name" = "websocket",
            "mcp_relay.outcome" = Empty,
            "mcp_relay.dialect" = Empty,
            "error.type" = Empty,
            "otel.status_description" = Empty,
        ))
    }

    /// Ends the span: `outcome` is the dialect of the link, or the reason of the metric why there is none.
    pub(crate) fn end(self, outcome: Result<&'static str, &'static str>) {
        let span = self.0;
        match outcome {
            Ok(dialect) => {
                span.record("mcp_relay.outcome", "linked");
                span.record("mcp_relay.dialect", dialect);
            }
            Err(reason) => {
                span.record("mcp_relay.outcome", reason);
                // Neither is a fault: the proxy is linked already, or this slave closes.
                if !matches!(reason, "already_linked" | "closing") {
                    fail(&span, reason);
                }
            }
        }
    }
}

/// Marks a span as failed: the description of a status makes it an error.
fn fail(span: &Span, reason: &'static str) {
    span.record("error.type", reason);
    span.record("otel.status_description", reason);
}
