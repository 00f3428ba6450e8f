//! A call as it is passed to a slave. Must not know links, slaves or traces.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::header::CallPlace;
use protocol::link::ids::CallId;
use protocol::mcp::era::Era;

/// The parts of a call that a slave needs.
#[derive(Clone, Copy)]
pub(crate) struct CallRequest<'a> {
    /// Id of the call on every link.
    pub(crate) id: CallId,
    /// JSON call header, for native slaves.
    pub(crate) header: &'a Bytes,
    /// The client's whole JSON-RPC request.
    pub(crate) message: &'a Bytes,
    /// The slave's own name of the tool.
    pub(crate) name: Option<&'a str>,
    /// The MCP era of the client.
    pub(crate) era: Era,
    /// Longest silence of the slave during the call.
    pub(crate) silence: Duration,
    /// Says whether the client can come back to the call; `None`: it cannot.
    pub(crate) place: Option<&'a CallPlace>,
    /// Deadline of the call, at which it fails in any case.
    pub(crate) last: Instant,
}
