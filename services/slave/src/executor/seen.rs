//! A call as the status page and the audit stream see it: written down where somebody wants to know, else not looked at.
//! Must not know backends.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::mcp::failure;
use protocol::mcp::progress;
use runtime::activity::{Activity, CallGuard, CallPhase, CallProgress, Labels};

use super::sink::{CallEnd, CallSink, SinkClosed};
use crate::trace::CallTrace;

/// What the call's task says of it; `None`: nobody wants to know.
#[derive(Clone)]
pub(super) struct Seen(Option<Arc<CallGuard>>);

/// Looks at what passes on its way to the reader.
struct Watching {
    watched: Arc<CallGuard>,
    to: Box<dyn CallSink>,
}

/// A call begins; what it sends goes by way of the sink that is given back.
pub(super) fn begin(
    activity: &Activity,
    (header, message, trace): (&CallHeader, &Bytes, &CallTrace),
    sink: Box<dyn CallSink>,
) -> (Seen, Box<dyn CallSink>) {
    if !activity.is_recording() {
        return (Seen(None), sink);
    }
    let watched = activity.start(|| {
        let origin = sink.origin();
        Labels {
            id: origin.as_ref().map(ToString::to_string).unwrap_or_default(),
            tool: header.name.clone().unwrap_or_default(),
            peer: None,
            client: origin.map_or_else(|| "own port".into(), |id| format!("proxy {:016x}", id.0 >> 64)),
            trace: trace.id(header).map(|trace| format!("{trace:032x}")),
        }
    });
    watched.record_request(message);
    let watched = Arc::new(watched);
    (Seen(Some(Arc::clone(&watched))), Box::new(Watching { watched, to: sink }))
}

impl Seen {
    /// This backend runs it.
    pub(super) fn running(&self, backend: &str) {
        if let Some(watched) = &self.0 {
            watched.set_phase(CallPhase::Running, backend);
        }
    }
}

impl CallSink for Watching {
    fn event(&mut self, json: Bytes, request: bool) -> BoxFuture<'_, Result<(), SinkClosed>> {
        if let Some(progress::Progress { progress, total }) = progress::Progress::read(&json) {
            self.watched.set_progress(CallProgress { done: progress, total });
        }
        self.to.event(json, request)
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.watched.record_response(if end.error { "error" } else { "result" }, &end.payload);
        self.watched.finish(match (&end, end.error) {
            (_, true) => failure::kind_in(&end.payload).unwrap_or("error"),
            (CallEnd { tool_error: true, .. }, _) => "tool_error",
            _ => "ok",
        });
        self.to.end(end);
    }
}
