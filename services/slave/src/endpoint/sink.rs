//! The sink that writes a call's events and end into its journal, from which any link reads them. Must not know links.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use protocol::link::ids::CallId;
use protocol::link::slave_end::WriteOutcome;
use runtime::call_line;
use runtime::telemetry::LogContext;

use super::state::Endpoint;
use crate::call::{CallEnd, CallSink, SinkClosed};
use crate::retention::RetainedCall;

/// The writer of one call's journal.
pub(super) struct JournalSink {
    endpoint: Arc<Endpoint>,
    call: CallId,
    log_context: LogContext,
    /// What is kept of the call where its client may come back.
    retained: Option<Arc<RetainedCall>>,
}

impl JournalSink {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        call: CallId,
        log_context: LogContext,
        retained: Option<Arc<RetainedCall>>,
    ) -> Self {
        Self { endpoint, call, log_context, retained }
    }
}

impl CallSink for JournalSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        if let Some(retained) = &self.retained {
            retained.event(json.clone());
        }
        match self.endpoint.write_event(self.call, json) {
            WriteOutcome::More => future::ready(Ok(())).boxed(),
            WriteOutcome::Gone => future::ready(Err(SinkClosed)).boxed(),
            WriteOutcome::Wait => match self.endpoint.space(self.call) {
                Some(space) => async move {
                    space.notified().await;
                    Ok(())
                }
                .boxed(),
                None => future::ready(Err(SinkClosed)).boxed(),
            },
        }
    }

    fn alive(&mut self) {
        self.endpoint.write_alive(self.call);
    }

    fn request(&mut self, json: Bytes) -> Result<(), SinkClosed> {
        if let Some(retained) = &self.retained {
            retained.request(json.clone());
        }
        match self.endpoint.write_request(self.call, json) {
            WriteOutcome::More | WriteOutcome::Wait => Ok(()),
            WriteOutcome::Gone => Err(SinkClosed),
        }
    }

    fn label(&self) -> Option<Arc<str>> {
        self.endpoint.state_label(self.call)
    }

    fn log_context(&self) -> Option<LogContext> {
        Some(self.log_context)
    }

    fn origin(&self) -> Option<CallId> {
        Some(self.call)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        let (call, bytes) = (self.call, end.payload.len());
        call_line!(self.log_context.lines(), bytes, "Sending response back to proxy (call {call})");
        if let Some(retained) = &self.retained {
            self.endpoint.retention.end(retained, &end);
        }
        self.endpoint.write_end(call, end);
    }
}
