//! Calls on their way into and out of the wait queue. Must not know how they are ordered.

use std::sync::Arc;

use policy::Clearance;
use tokio::sync::oneshot;

use crate::balance::Permit;
use crate::limits::client::Client;
use crate::links::Slave;

/// Calls that wait for the same slaves: those of one tool that are routed by the same rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::dispatch) struct QueueKey {
    /// The clients' name of the tool.
    pub(in crate::dispatch) tool: Arc<str>,
    /// Whose tool it is ([`Pool::provider`](super::super::pool::Pool)).
    pub(in crate::dispatch) provider: Arc<str>,
    /// Number of the rule, 0 without one.
    pub(in crate::dispatch) rule: usize,
    /// What the policy has cleared the calls for.
    pub(in crate::dispatch) clearance: Option<Arc<Clearance>>,
}

/// Name of a legacy client's call, by which the client can cancel it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::dispatch) struct CallName {
    pub(in crate::dispatch) session: String,
    /// JSON-RPC id as it stands in JSON.
    pub(in crate::dispatch) request_id: String,
}

/// A call that is to wait.
#[derive(Clone)]
pub(in crate::dispatch) struct Pending {
    pub(in crate::dispatch) key: QueueKey,
    pub(in crate::dispatch) client: Client,
    pub(in crate::dispatch) name: Option<CallName>,
}

/// Why a call cannot wait.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum EnqueueError {
    /// As many calls of the tool wait as may; a retry is worthwhile after so many seconds.
    Full { waiting: usize, retry_after: u32 },
    /// No slave takes the call.
    NoSlave,
}

/// Decision on a waiting call.
pub(in crate::dispatch) enum Decision {
    /// The slave takes the call; the permit is the call's.
    Serve(Arc<Slave>, Permit),
    /// The last slave that could have taken the call is gone.
    NoSlave,
    /// The client cancelled the call.
    Cancelled,
}

/// The queue's end of a waiting call.
pub(super) struct QueuedCall {
    pub(super) decide: oneshot::Sender<Decision>,
    pub(super) name: Option<CallName>,
}
