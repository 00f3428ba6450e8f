//! The response stream of a call on the slave's own port. Must not know the executor.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use front::CallOutcome;
use futures_util::{FutureExt, Stream};
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallPlace;
use protocol::link::ids::CallId;
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::call::CallHandle;
use crate::metrics::{self, ToolMeter};
use crate::retention::Retention;

/// The response stream of one call. Dropping it cancels a modern client's call and leaves a legacy client's running.
pub struct LocalStream {
    pub(super) era: Era,
    pub(super) version: Version,
    /// The tool's metrics; `None` for a tool that is not in the catalog.
    pub(super) meters: Option<Arc<ToolMeter>>,
    pub(super) started: Instant,
    pub(super) events: mpsc::Receiver<ResponseEvent>,
    pub(super) end: oneshot::Receiver<ResponseEvent>,
    pub(super) handle: CallHandle,
    /// Whether the end was taken.
    pub(super) finished: bool,
    /// The call among those that are kept, where its client may come back to it.
    pub(super) retained: Option<(Arc<Retention>, CallId)>,
    /// Says whether the client got ids by which it can.
    pub(super) place: Option<CallPlace>,
}

impl Stream for LocalStream {
    type Item = ResponseEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        if self.finished {
            return Poll::Ready(None);
        }
        // The sink drops the senders of both channels together: when that of events is closed, all events were taken.
        if let Some(event) = ready!(self.events.poll_recv(cx)) {
            return Poll::Ready(Some(event));
        }
        let end = ready!(self.end.poll_unpin(cx)).unwrap_or(ResponseEvent::Failed(Failure::Internal));
        self.finished = true;
        self.record(CallOutcome::from_event(&end, self.version.era()));
        Poll::Ready(Some(end))
    }
}

impl LocalStream {
    fn record(&self, outcome: CallOutcome) {
        metrics::record_served(self.meters.as_deref(), self.version, outcome, self.started.elapsed());
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        if let Some((retention, call)) = &self.retained {
            retention.release(*call, self.place.as_ref().is_some_and(CallPlace::has_ids));
        }
        if self.finished {
            return;
        }
        self.record(CallOutcome::Unanswered("cancelled"));
        if self.era == Era::Modern {
            self.handle.cancel();
        }
    }
}
