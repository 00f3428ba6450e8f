//! The running call's side towards its reader, as the backend holds it. Must not know backends.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::failure::Failure;

use super::ask::{ClientRequest, PendingAnswer};
use super::end::CallEnd;
use super::sink::CallSink;

/// The way from one running call to its reader. The executor keeps it for the whole call and lends it to the backend,
/// which sends events; the executor sends the end.
pub(crate) struct Exchange {
    sink: Box<dyn CallSink>,
    /// Number of the process that the call was sent to last.
    generation: u64,
}

impl Exchange {
    /// Wraps the sink of a call that starts.
    pub(crate) fn new(sink: Box<dyn CallSink>) -> Self {
        Self { sink, generation: 0 }
    }

    /// Notes the number of the process that the call is sent to, which is then part of the ids of the tasks that it makes.
    pub(crate) fn note_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Returns the number of the process that the call was sent to last; 0: it was none of this slave's.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Sends one JSON-RPC notification (without newlines, with the client's own progress token) to the reader.
    ///
    /// Waits while the reader is behind. Fails with [`Failure::Cancelled`] when the reader is gone.
    pub(crate) async fn notify(&mut self, notification: Bytes) -> Result<(), Failure> {
        self.sink.event(notification).await.map_err(|_| Failure::Cancelled)
    }

    /// Asks the client of the call. Does not block: a backend may ask several things, wait for the answers in any order, and go on with
    /// events. Dropping the pending answer withdraws the request.
    ///
    /// # Errors
    /// The client cannot be asked: the call is to end with this failure.
    pub(crate) fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        self.sink.ask(request)
    }

    /// Returns the label of this process at the proxy that the call came from.
    pub(crate) fn label(&self) -> Option<Arc<str>> {
        self.sink.label()
    }

    /// Replaces the sink by one that wraps it.
    pub(crate) fn wrap(self, wrap: impl FnOnce(Box<dyn CallSink>) -> Box<dyn CallSink>) -> Self {
        Self { sink: wrap(self.sink), ..self }
    }

    /// Notes that the backend shows life, for what the client gets no event: the call's silence timeouts start anew. May be
    /// called for each line of output. Does not block.
    pub(crate) fn alive(&mut self) {
        self.sink.alive();
    }

    /// Ends the call. Does not block.
    pub(crate) fn end(self, end: CallEnd) {
        self.sink.end(end);
    }
}
