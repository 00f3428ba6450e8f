//! Where the executor writes a call: into its journal, from which whichever link there is reads it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use protocol::link::frame::Flags;
use protocol::link::ids::CallId;
use protocol::link::slave_end::WriteOutcome;
use runtime::telemetry::LogContext;

use super::Endpoint;
use crate::executor::{CallEnd, CallSink, SinkClosed};

/// The writing end of one call's journal.
pub(super) struct JournalSink {
    endpoint: Arc<Endpoint>,
    call: CallId,
    subject: LogContext,
}

impl JournalSink {
    pub(super) fn new(endpoint: Arc<Endpoint>, call: CallId, subject: LogContext) -> Self {
        Self { endpoint, call, subject }
    }
}

impl CallSink for JournalSink {
    fn event(&mut self, json: Bytes, request: bool) -> BoxFuture<'_, Result<(), SinkClosed>> {
        let kind = if request { Flags::REQUEST } else { Flags::NONE };
        match self.endpoint.event(self.call, json, kind) {
            WriteOutcome::More => future::ready(Ok(())).boxed(),
            WriteOutcome::Gone => future::ready(Err(SinkClosed)).boxed(),
            WriteOutcome::Wait => match self.endpoint.room(self.call) {
                Some(room) => async move {
                    room.notified().await;
                    Ok(())
                }
                .boxed(),
                None => future::ready(Err(SinkClosed)).boxed(),
            },
        }
    }

    fn subject(&self) -> Option<LogContext> {
        Some(self.subject)
    }

    fn origin(&self) -> Option<CallId> {
        Some(self.call)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.endpoint.end(self.call, end);
    }
}
