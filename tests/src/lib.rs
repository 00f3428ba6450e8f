//! The harness of the integration tests: the built binary as a process, clients of both eras, peers that break the rules,
//! and a TCP proxy that injects faults into links.
//!
//! Knows the wire formats and the documented log phrases; must not know the program's internals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a panic with a message is how it reports a failure"
)]

pub mod answer;
pub mod apps;
pub mod asking;
pub mod bad_tls;
pub mod balancer;
pub mod browser;
pub mod canary;
pub mod client;
pub mod delay;
pub mod fault;
pub mod fixture;
pub mod forward;
pub mod http;
pub mod introduced;
pub mod issuer;
pub mod kinds;
pub mod mcp_upstream;
pub mod metrics;
pub mod otlp;
pub mod plain;
pub mod probe;
pub mod process;
pub mod rawproxy;
pub mod rawslave;
pub mod relay;
pub mod sse;
pub mod storm;
pub mod tasking;
pub mod tls;
pub mod wait;
pub mod watched;
pub mod wsframes;

/// The native wire format, for tests that write frames by hand.
pub mod frames {
    pub use protocol::link::frame::{Flags, Frame, FrameKind, HEADER_LEN};
    pub use protocol::link::ids::{CallId, InstanceId};
    pub use protocol::link::limits::{DEFAULT_WINDOW, MAX_AUTH, MAX_BATCH, MAX_CHUNK};
}
