//! The requests of a session with a child that have no answer yet. Must not know what arrives for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use tokio::sync::{mpsc, oneshot};

use super::incoming::Incoming;
use super::log_readers::LogReader;

/// The sender of a request.
pub(super) enum RequestKind {
    /// The slave itself: handshake, listing, health check.
    Own,
    /// The slave itself, for as long as the child runs: it is not waited for.
    Standing,
    /// A client's call.
    Call {
        /// The client's progress token as JSON; `None` if the client wants no progress.
        token: Option<Bytes>,
        /// Who reads log messages.
        logs: LogReader,
        /// The child's own id of the task that the call is about, where its client takes the status of it on the call's stream.
        task: Option<Box<str>>,
    },
}

/// A request that has no answer yet.
pub(super) struct PendingRequest {
    pub(super) incoming: mpsc::UnboundedSender<Incoming>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) kind: RequestKind,
}

/// A request's state that both its caller and the reader of the child's output change.
#[derive(Default)]
pub(super) struct Waiting {
    /// Whether the child can have read the request: nothing that it wrote before concerns it.
    pub(super) sent: AtomicBool,
    /// Bytes of events.
    pub(super) bytes: AtomicUsize,
    /// Whether a sign of life waits.
    pub(super) sign: AtomicBool,
}

impl PendingRequest {
    pub(super) fn is_known(&self) -> bool {
        self.waiting.sent.load(Ordering::Acquire)
    }
}

/// The requests of a session, by their ids.
#[derive(Default)]
pub(super) struct RequestTable {
    pub(super) pending: HashMap<u64, PendingRequest>,
    /// Requests that nobody waits for, whose answers somebody wants to know of: the sender is dropped then.
    pub(super) late: HashMap<u64, oneshot::Sender<()>>,
    /// The failure of all requests from now on; `None` while the child runs.
    pub(super) closed: Option<Failure>,
}

impl RequestTable {
    /// Returns the requests that the child can know of, by their ids.
    pub(super) fn known(&self) -> impl Iterator<Item = (u64, &PendingRequest)> + Clone {
        self.pending.iter().filter(|(_, pending)| pending.is_known()).map(|(id, pending)| (*id, pending))
    }

    /// Returns the clients' calls, by their ids; of one that came on the stream of request `of`, that one.
    pub(super) fn calls(&self, of: Option<u64>) -> impl Iterator<Item = (u64, &LogReader)> + Clone {
        self.known().filter_map(move |(id, pending)| match &pending.kind {
            RequestKind::Call { logs, .. } if of.is_none_or(|of| of == id) => Some((id, logs)),
            _ => None,
        })
    }
}
