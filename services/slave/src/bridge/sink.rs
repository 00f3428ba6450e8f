//! The sink of a call whose backend may ask a modern client. Must not know the backend.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;

use super::asking::{AskingCall, Parking, Reader};
use super::input;
use super::retry::ReaderRequest;
use crate::call::{CallEnd, CallSink, ClientRequest, PendingAnswer, SinkClosed};

/// The sink. Its reader may change while the call runs.
pub(crate) struct AskingSink(Arc<AskingCall>);

impl AskingSink {
    /// Wraps the sink of a modern client's call.
    pub(crate) fn wrap(
        parking: Parking,
        header: &CallHeader,
        message: &Bytes,
        sink: Box<dyn CallSink>,
    ) -> Box<dyn CallSink> {
        let request = ReaderRequest::of(header, message);
        Box::new(Self(AskingCall::new(parking, header.client.clone(), request, sink)))
    }

    /// Takes the sink for one event; `None` where nobody reads: then the event is held.
    fn lend(&self, event: &Bytes) -> Option<Lent> {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut state.reader, Reader::Busy) {
            Reader::Reading(sink) => Some(Lent { call: Arc::clone(&self.0), sink: Some(sink) }),
            other => {
                state.reader = other;
                state.held.push(event.clone());
                None
            }
        }
    }
}

/// A sink that takes an event. It goes back when this is dropped.
struct Lent {
    call: Arc<AskingCall>,
    sink: Option<Box<dyn CallSink>>,
}

impl Lent {
    /// Sends what was held for the reader, then the event.
    async fn send(&mut self, event: Bytes) -> Result<(), SinkClosed> {
        let Some(sink) = &mut self.sink else { return Err(SinkClosed) };
        let mut last = Some(event);
        loop {
            let (next, request) = {
                let mut state = self.call.state.lock();
                let next = state.held.pop().or_else(|| last.take());
                let asking = if state.is_retry { state.request.read() } else { None };
                (next, asking.map(|asking| asking.wishes.clone()))
            };
            let Some(next) = next else { return Ok(()) };
            let next = match &request {
                Some(wishes) => input::for_request(next, wishes),
                None => Some(next),
            };
            match next {
                Some(event) => sink.event(event).await?,
                None => sink.alive(),
            }
            self.call.on_event();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            self.call.give_back(sink);
        }
    }
}

impl CallSink for AskingSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        Box::pin(async move {
            match self.lend(&json) {
                Some(mut lent) => lent.send(json).await,
                None => Ok(()),
            }
        })
    }

    fn alive(&mut self) {
        if let Reader::Reading(sink) = &mut self.0.state.lock().reader {
            sink.alive();
        }
        self.0.on_event();
    }

    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        self.0.ask(request)
    }

    fn label(&self) -> Option<Arc<str>> {
        match &self.0.state.lock().reader {
            Reader::Reading(sink) => sink.label(),
            _ => None,
        }
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.0.end(end);
    }
}
