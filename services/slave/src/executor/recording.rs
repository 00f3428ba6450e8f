//! The record of a call for the status page and the audit stream, kept only where one of them is on. Must not know
//! backends.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::link::header::CallHeader;
use protocol::link::ids::CallId;
use protocol::mcp::failure::{self, Failure, FailureKind};
use protocol::mcp::progress;
use runtime::activity::{Activity, CallGuard, CallPhase, CallProgress, Labels};
use runtime::audit::{self, AuditLine};
use runtime::telemetry::LogContext;

use crate::call::{CallEnd, CallSink, ClientRequest, PendingAnswer, SinkClosed};
use crate::trace::CallTrace;

/// The recorder of one call's progress; `None` where calls are not recorded.
#[derive(Clone)]
pub(super) struct CallRecorder(Option<Arc<CallGuard>>);

/// A sink that records what passes through it.
struct RecordingSink {
    guard: Arc<CallGuard>,
    inner: Box<dyn CallSink>,
}

/// Begins the record of a call. The call's events and end must go through the sink that is returned.
pub(super) fn begin(
    activity: &Activity,
    header: &CallHeader,
    message: &Bytes,
    trace: &CallTrace,
    sink: Box<dyn CallSink>,
) -> (CallRecorder, Box<dyn CallSink>) {
    if !activity.is_recording() {
        return (CallRecorder(None), sink);
    }
    let guard = activity.start(|| {
        let origin = sink.origin();
        Labels {
            id: origin.as_ref().map(ToString::to_string).unwrap_or_default(),
            tool: header.name.clone().unwrap_or_default(),
            key_id: None,
            issuer: header.identity.as_ref().and_then(|client| client.issuer.clone()),
            subject: header.identity.as_ref().map(|client| client.subject.clone()),
            peer: None,
            client: origin.map_or_else(|| "own port".into(), |id| format!("proxy {:016x}", id.0 >> 64)),
            trace: trace.id(header).map(|trace| format!("{trace:032x}")),
        }
    });
    guard.record_request(message);
    let guard = Arc::new(guard);
    (CallRecorder(Some(Arc::clone(&guard))), Box::new(RecordingSink { guard, inner: sink }))
}

/// Writes down that a call begins, where calls must be written down (`AUDIT_REQUIRED`). A call of this slave's own port was
/// written down there.
///
/// # Errors
/// The line is not with the target: the call must not begin.
pub(super) async fn write_down(tool: &str, origin: Option<CallId>) -> Result<(), Failure> {
    let Some(id) = origin.filter(|_| audit::is_required()) else { return Ok(()) };
    let line = AuditLine::new("call_begun")
        .with("request_id", id.to_string())
        .with("client", format!("proxy {:016x}", id.0 >> 64))
        .with("tool", tool);
    audit::confirm(line).await.map_err(|why| Failure::AuditUnavailable(why.as_str()))
}

impl CallRecorder {
    /// Records that this backend runs the call.
    pub(super) fn on_running(&self, backend: &str) {
        if let Some(guard) = &self.0 {
            guard.set_phase(CallPhase::Running, backend);
        }
    }
}

impl CallSink for RecordingSink {
    fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
        if let Some(progress::Progress { progress, total }) = progress::Progress::read(&json) {
            self.guard.set_progress(CallProgress { done: progress, total });
        }
        self.inner.event(json)
    }

    fn alive(&mut self) {
        self.inner.alive();
    }

    fn ask(&mut self, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        self.inner.ask(request)
    }

    fn request(&mut self, json: Bytes) -> Result<(), SinkClosed> {
        self.inner.request(json)
    }

    fn label(&self) -> Option<Arc<str>> {
        self.inner.label()
    }

    fn log_context(&self) -> Option<LogContext> {
        self.inner.log_context()
    }

    fn origin(&self) -> Option<CallId> {
        self.inner.origin()
    }

    fn end(self: Box<Self>, end: CallEnd) {
        self.guard.record_response(if end.error { "error" } else { "result" }, &end.payload);
        self.guard.finish(match (&end, end.error) {
            (_, true) => failure::kind_in(&end.payload).map_or("error", FailureKind::as_str),
            (CallEnd { tool_error: true, .. }, _) => "tool_error",
            _ => "ok",
        });
        self.inner.end(end);
    }
}
