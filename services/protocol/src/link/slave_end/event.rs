//! Events that the slave's end reports to the owner of the links, and the outcomes of writes. Must not know links.

use bytes::Bytes;

use crate::link::ids::{CallId, LinkId};

/// Event for the owner of the links.
#[derive(Debug, PartialEq, Eq)]
pub enum SlaveEvent {
    /// A call is to be run.
    Start {
        /// Id of the call from now on.
        call: CallId,
        /// JSON of [`crate::link::header::CallHeader`], unchecked.
        header: Bytes,
        /// The client's JSON-RPC request, unaltered.
        message: Bytes,
    },
    /// A call is to be stopped: nobody wants it any more, and what it still writes is dropped.
    Stop {
        /// Id of the call.
        call: CallId,
    },
    /// A call was given up to make room for others: its reader had stopped.
    GaveUp {
        /// Id of the call.
        call: CallId,
    },
    /// The proxy has no more business with a call that the owner retains.
    Released {
        /// Id of the call.
        call: CallId,
        /// Whether its client may come back to it.
        may_return: bool,
    },
    /// The reader has caught up: a producer that was told to wait may go on.
    Writable {
        /// Id of the call.
        call: CallId,
    },
    /// A fact about a client session (JSON of [`crate::link::session_fact::SessionFact`]), and the link that brought it.
    Session(LinkId, Bytes),
    /// Proxies that the proxy behind this link knows of (JSON of [`crate::link::peers::Peers`]).
    Peers(LinkId, Bytes),
    /// The proxy behind this link opens nothing new.
    ProxyDraining(LinkId),
}

/// Result of writing an event or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Written; the producer may go on.
    More,
    /// Written; the producer waits for [`SlaveEvent::Writable`] before the next event.
    Wait,
    /// Dropped: nobody wants the call any more.
    Gone,
}
