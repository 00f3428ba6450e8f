//! Updates of resources for clients of the slave's own port. Must not know who reads them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use protocol::mcp::subscription::ListenEvent;
use tokio::sync::mpsc;

use crate::call::{CallEnd, CallHandle, CallSink, SinkClosed};

/// The sink of a call that listens.
pub(super) struct UpdateSink(mpsc::Sender<Bytes>);

/// The events of a call that listens. Dropping them ends the call.
pub(super) struct LocalUpdates {
    events: mpsc::Receiver<Bytes>,
    handle: CallHandle,
}

/// Returns the sink of a call that listens, and what makes a stream of its events. One event may wait: others wait where they can be
/// replaced by newer ones.
pub(super) fn updates() -> (UpdateSink, impl FnOnce(CallHandle) -> LocalUpdates) {
    let (sender, events) = mpsc::channel(1);
    (UpdateSink(sender), |handle| LocalUpdates { events, handle })
}

impl CallSink for UpdateSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        self.0.send(json).map(|sent| sent.map_err(|_| SinkClosed)).boxed()
    }

    fn end(self: Box<Self>, _: CallEnd) {}
}

impl Stream for LocalUpdates {
    type Item = ListenEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ListenEvent>> {
        loop {
            let Some(event) = ready!(self.events.poll_recv(cx)) else { return Poll::Ready(None) };
            if let Some(event) = ListenEvent::read(&event) {
                return Poll::Ready(Some(event));
            }
        }
    }
}

impl Drop for LocalUpdates {
    fn drop(&mut self) {
        self.handle.cancel();
    }
}
