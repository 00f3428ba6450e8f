//! The sink of a call on the slave's own port. Must not know what reads the events.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::link::call::ResponseEvent;
use protocol::link::ids::Seq;
use protocol::mcp::era::Era;
use runtime::telemetry::LogContext;
use tokio::sync::{mpsc, oneshot};

use super::session_calls::SessionCallGuard;
use crate::call::{CallEnd, CallSink, SinkClosed};
use crate::retention::{RetainedCall, Retention};

/// The sink of one call: events into a bounded channel, the end into one of its own.
pub(super) struct LocalSink {
    pub(super) era: Era,
    pub(super) log_context: LogContext,
    pub(super) events: mpsc::Sender<ResponseEvent>,
    pub(super) end: oneshot::Sender<ResponseEvent>,
    /// The number of the next event.
    pub(super) seq: Seq,
    /// What is kept of the call where its client may come back, and where.
    pub(super) retained: Option<(Arc<Retention>, Arc<RetainedCall>)>,
    pub(super) _guard: SessionCallGuard,
}

impl CallSink for LocalSink {
    fn event(&mut self, payload: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        if let Some((_, retained)) = &self.retained {
            retained.event(payload.clone());
        }
        let event = ResponseEvent::Event { seq: self.seq, more: false, request: false, payload };
        self.seq += 1;
        let era = self.era;
        self.events
            .send(event)
            .map(move |sent| match (sent, era) {
                // A legacy client that disconnects does not cancel: its call runs on.
                (Ok(()), _) | (Err(_), Era::Legacy) => Ok(()),
                (Err(_), Era::Modern) => Err(SinkClosed),
            })
            .boxed()
    }

    fn request(&mut self, payload: Bytes) -> Result<(), SinkClosed> {
        if let Some((_, retained)) = &self.retained {
            retained.request(payload.clone());
        }
        let event = ResponseEvent::Event { seq: self.seq, more: false, request: true, payload };
        self.seq += 1;
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SinkClosed),
            Err(mpsc::error::TrySendError::Full(event)) => {
                let events = self.events.clone();
                tokio::spawn(async move { events.send(event).await });
                Ok(())
            }
        }
    }

    fn log_context(&self) -> Option<LogContext> {
        Some(self.log_context)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        if let Some((retention, retained)) = &self.retained {
            retention.end(retained, &end);
        }
        let CallEnd { payload, error, tool_error, status, .. } = end;
        let event = ResponseEvent::End { seq: self.seq, more: false, error, tool_error, status, payload };
        // Sending fails where the client is gone.
        let _ = self.end.send(event);
    }
}
