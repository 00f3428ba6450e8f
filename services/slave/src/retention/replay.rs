//! The going on with a call for a client that comes back. Must not know how a call was kept.

use std::sync::Arc;

use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::retained_call::{Next, RetainedCall};
use super::store::Retention;
use crate::call::{CallEnd, CallHandle, CallSink};

impl Retention {
    /// Goes on with the call that a header's purpose names, in a task of its own: its events behind those that the client has, then its
    /// end. One that is not kept, or is another session's, ends with [`Failure::StateLost`].
    pub(crate) fn resume(self: &Arc<Self>, header: &CallHeader, sink: Box<dyn CallSink>) -> CallHandle {
        let (handle, cancelled) = CallHandle::new();
        let Purpose::Resume { call, after } = &header.purpose else {
            sink.end(CallEnd::failed(&Failure::Internal, header.era));
            return handle;
        };
        let id = u128::from_str_radix(call, 16).ok().map(CallId);
        let found = id.and_then(|id| self.find(id, header));
        let lost = CallEnd::failed(&Failure::StateLost, header.era);
        match found {
            Some(retained) => {
                tokio::spawn(replay(retained, *after, sink, cancelled, lost));
            }
            None => sink.end(lost),
        }
        handle
    }
}

async fn replay(
    retained: Arc<RetainedCall>,
    mut after: u64,
    mut sink: Box<dyn CallSink>,
    cancelled: CancellationToken,
    lost: CallEnd,
) {
    let mut changes = retained.changes();
    loop {
        changes.borrow_and_update();
        match retained.next(after) {
            Next::Event(event) => {
                after += 1;
                let sent = if is_request(&event) {
                    sink.request(event).is_ok()
                } else {
                    tokio::select! {
                        sent = sink.event(event) => sent.is_ok(),
                        () = cancelled.cancelled() => false,
                    }
                };
                if !sent {
                    return sink.end(lost);
                }
            }
            Next::End(end) => return sink.end(end),
            Next::Lost => return sink.end(lost),
            Next::Nothing => tokio::select! {
                _ = changes.changed() => {}
                () = cancelled.cancelled() => return sink.end(lost),
            },
        }
    }
}

/// Returns whether an event is a request to the client: the slave writes those itself, the id in front, and a notification has none.
fn is_request(event: &[u8]) -> bool {
    event.starts_with(br#"{"jsonrpc":"2.0","id":"#)
}
