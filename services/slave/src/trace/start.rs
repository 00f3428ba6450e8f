//! Spans that belong to no call, each a trace of its own: the start of a backend's process, and the making of a link.
//! Knows neither links nor processes. Nothing while traces are off.

use std::net::SocketAddr;

use protocol::mcp::era::Version;
use runtime::traces::{Kind, Parent, Span};

/// A backend's process from its start until its tools are offered. Where it ends before that, its supervisor says why.
pub(crate) struct BackendStart(Option<Span>);

impl BackendStart {
    /// A process is about to be started for this backend.
    pub(crate) fn of(backend: &str) -> Self {
        let mut span = Span::start("backend start", Kind::Internal, &Parent::none());
        if let Some(span) = &mut span {
            span.set("mcp_relay.backend", backend.to_owned());
        }
        Self(span)
    }

    /// Its tools are offered; it speaks this version.
    pub(crate) fn ready(&mut self, version: Version) {
        if let Some(mut span) = self.0.take() {
            span.set("mcp.protocol.version", version.as_str());
            span.set("mcp_relay.outcome", "ready");
        }
    }

    /// It is of no use any more; whatever follows its being ready is no part of the start. `why` is the metric's word.
    pub(crate) fn ended(&mut self, why: &'static str) {
        let Some(mut span) = self.0.take() else { return };
        span.set("mcp_relay.outcome", why);
        if why != "stopped" {
            span.fail(why);
        }
    }
}

/// A link from dialing the proxy until it is authenticated or refused.
pub(crate) struct LinkStart(Option<Span>);

impl LinkStart {
    /// The proxy of this host and port is dialed at this address.
    pub(crate) fn of((host, port): (&str, u16), address: SocketAddr) -> Self {
        let mut span = Span::start("link", Kind::Client, &Parent::none());
        if let Some(span) = &mut span {
            span.set("server.address", host.to_owned());
            span.set("server.port", i64::from(port));
            span.set("network.peer.address", address.ip().to_string());
            span.set("network.peer.port", i64::from(address.port()));
            span.set("network.transport", "tcp");
            span.set("network.protocol.name", "websocket");
        }
        Self(span)
    }

    /// It is a link of this dialect, or there is none: why, as the metric has it.
    pub(crate) fn ended(self, came: Result<&'static str, &'static str>) {
        let Some(mut span) = self.0 else { return };
        match came {
            Ok(dialect) => {
                span.set("mcp_relay.outcome", "linked");
                span.set("mcp_relay.dialect", dialect);
            }
            Err(why) => {
                span.set("mcp_relay.outcome", why);
                // Neither is a fault: the one proxy is linked already, the other end is this slave's own.
                if !matches!(why, "already_linked" | "closing") {
                    span.fail(why);
                }
            }
        }
    }
}
