//! The handle with which a call's reader reaches a running call. Must not know what runs it.

use tokio_util::sync::CancellationToken;

/// A handle of a running call. Dropping it leaves the call running.
#[derive(Clone, Debug)]
pub struct CallHandle {
    cancelled: CancellationToken,
}

impl CallHandle {
    /// Returns a handle, and the token that it cancels.
    pub(crate) fn new() -> (Self, CancellationToken) {
        let cancelled = CancellationToken::new();
        (Self { cancelled: cancelled.clone() }, cancelled)
    }

    /// Cancels the call: the backend stops, and the sink gets
    /// [`Failure::Cancelled`](protocol::mcp::failure::Failure::Cancelled) as the end unless it already had one.
    /// Idempotent.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }
}
