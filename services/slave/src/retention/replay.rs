//! The going on with a call for a client that comes back. Must not know how a call was kept.

use std::sync::Arc;

use protocol::link::header::{CallHeader, Purpose};
use protocol::link::ids::CallId;
use protocol::mcp::failure::Failure;
use tokio_util::sync::CancellationToken;

use super::retained_call::{KeptEvent, Next, RetainedCall};
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
    loop {
        let changed = retained.changed();
        match retained.next(after) {
            Next::Event(event) => {
                after += 1;
                let sent = match event {
                    KeptEvent::Request(json) => sink.request(json).is_ok(),
                    KeptEvent::Notification(json) => tokio::select! {
                        sent = sink.event(json) => sent.is_ok(),
                        () = cancelled.cancelled() => false,
                    },
                };
                if !sent {
                    return sink.end(lost);
                }
            }
            Next::End(end) => return sink.end(end),
            Next::Lost => return sink.end(lost),
            Next::Nothing => tokio::select! {
                () = changed => {}
                () = cancelled.cancelled() => return sink.end(lost),
            },
        }
    }
}
