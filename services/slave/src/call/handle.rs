//! The handle with which a call's reader reaches a running call. Must not know what runs it.

use std::sync::{Arc, OnceLock};

use protocol::mcp::failure::Failure;
use tokio_util::sync::CancellationToken;

/// A handle of a running call. Dropping it leaves the call running.
#[derive(Clone, Debug)]
pub struct CallHandle {
    cancelled: CancellationToken,
    reason: CancelReason,
}

/// Why a call is cancelled, as its backend is told: empty until somebody says so, and for a client that just left.
#[derive(Clone, Debug, Default)]
pub(crate) struct CancelReason(Arc<OnceLock<Box<str>>>);

impl CancelReason {
    /// Sets the reason of a call that took too long, and returns the failure of such a call.
    pub(crate) fn time_out(&self) -> Failure {
        self.set("the call timed out");
        Failure::Timeout
    }

    /// Sets the reason. The first one counts.
    fn set(&self, reason: &str) {
        // The call is cancelled already, for the reason that is there.
        let _ = self.0.set(reason.into());
    }

    /// Returns the reason.
    pub(crate) fn get(&self) -> &str {
        self.0.get().map_or("cancelled by the client", |reason| reason)
    }
}

impl CallHandle {
    /// Returns a handle, and the token that it cancels.
    pub(crate) fn new() -> (Self, CancellationToken) {
        let cancelled = CancellationToken::new();
        (Self { cancelled: cancelled.clone(), reason: CancelReason::default() }, cancelled)
    }

    /// Returns the reason for which the call is cancelled.
    pub(crate) fn reason(&self) -> CancelReason {
        self.reason.clone()
    }

    /// Cancels the call: the backend stops, and the sink gets
    /// [`Failure::Cancelled`] as the end unless it already had one.
    /// Idempotent.
    pub fn cancel(&self) {
        self.cancel_for(None);
    }

    /// Cancels the call for a reason in its client's words.
    pub fn cancel_for(&self, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.reason.set(reason);
        }
        self.cancelled.cancel();
    }
}
