//! What the slave's end reports to the owner of the links, and what it answers to a producer. Must not know links.

use bytes::Bytes;

use crate::link::ids::{CallId, LinkId};

/// What the owner of the links has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum SlaveEvent {
    /// Run this call: `header` is the JSON call header, `message` the client's JSON-RPC request.
    Start {
        /// Its name from now on.
        call: CallId,
        /// JSON of [`crate::link::header::CallHeader`].
        header: Bytes,
        /// Whole JSON-RPC request, as the client sent it.
        message: Bytes,
    },
    /// Nobody wants the call any more: stop it. What it still says is dropped.
    Stop {
        /// Which call.
        call: CallId,
    },
    /// The reader has caught up: a producer that was told to wait may go on.
    Room {
        /// Which call.
        call: CallId,
    },
    /// A fact about a client session (JSON of [`crate::link::header::SessionFacts`]), and the link that brought it.
    Session(LinkId, Bytes),
    /// Which proxies there are, as the one behind this link knows (JSON of [`crate::link::peers::Peers`]).
    Peers(LinkId, Bytes),
    /// The proxy behind this link opens nothing new.
    ProxyDraining(LinkId),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Go on.
    More,
    /// Kept, but wait for [`SlaveEvent::Room`] before the next.
    Wait,
    /// Nobody wants the call any more.
    Gone,
}
