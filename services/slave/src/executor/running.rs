//! One call from its arrival to its one end. Must not know what kind of backend runs it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use protocol::link::header::CallHeader;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::registry::Route;
use super::seen::{self, Seen};
use super::sink::{CallEnd, CallSink};
use super::{Shared, ToolCall};
use crate::backends::Answer;
use crate::metrics;
use crate::outcome::BackendOutcome;
use crate::trace::CallTrace;

/// What arrived.
pub(super) struct Job {
    pub(super) header: CallHeader,
    pub(super) message: Bytes,
    pub(super) cancelled: CancellationToken,
    pub(super) trace: CallTrace,
}

/// Runs the call and ends it, once, also when a backend's code panics.
pub(super) async fn run(shared: Arc<Shared>, job: Job, sink: Box<dyn CallSink>) {
    let era = job.header.era;
    let mut trace = job.trace;
    let (seen, mut sink) = seen::begin(&shared.activity, (&job.header, &job.message, &trace), sink);
    let (mut call, route) = match admit(&shared, job.header, job.message) {
        Ok(both) => both,
        Err(failure) => {
            metrics::record_refusal(&failure);
            let end = CallEnd::failed(&failure, era);
            trace.finish(BackendOutcome::from(&Err(failure)));
            return sink.end(end);
        }
    };
    call.parent = trace.set_tool(&call.name, call.at(&call.id));
    let started = Instant::now();
    let in_flight = route.meters.record_start();
    let deadline = Duration::from_millis(call.header.timeout_ms);
    let work = AssertUnwindSafe(perform(&shared, (&route, &seen), &call, sink.as_mut())).catch_unwind();
    // The work goes first: most calls are through before the other two had to be armed.
    let answer = tokio::select! {
        biased;
        done = work => done.unwrap_or(Err(Failure::Internal)),
        () = job.cancelled.cancelled() => Err(Failure::Cancelled),
        () = tokio::time::sleep(deadline), if !deadline.is_zero() => Err(Failure::Timeout),
    };
    let outcome = BackendOutcome::from(&answer);
    if let Err(failure) = &answer {
        let kind = failure.spec().kind;
        tracing::debug!(tool = in_flight.tool(), kind, "call failed: {failure}");
    }
    in_flight.record_end(outcome, started.elapsed());
    trace.finish(outcome);
    sink.end(match answer {
        Ok(answer) => delivered(answer, era),
        Err(failure) => CallEnd::failed(&failure, era),
    });
}

/// Everything that can be refused without waiting.
fn admit(shared: &Shared, header: CallHeader, message: Bytes) -> Result<(ToolCall, Arc<Route>), Failure> {
    if shared.stopping.is_stopping() {
        return Err(Failure::Draining);
    }
    let call = ToolCall::parse(header, message)?;
    let route = shared.registry.route(&call.name)?;
    if call.header.era == Era::Modern {
        route.param_headers.check(&call)?;
    }
    Ok((call, route))
}

async fn perform(
    shared: &Shared,
    (route, seen): (&Route, &Seen),
    call: &ToolCall,
    sink: &mut dyn CallSink,
) -> Result<Answer, Failure> {
    let _place = shared.admission.enter().await?;
    seen.running(&route.owner);
    let Some(version) = route.backend.speaks() else {
        return route.backend.call(call, &route.tool, sink).await;
    };
    let asked = Instant::now();
    let answer = route.backend.call(call, &route.tool, sink).await;
    route.meters.record_backend_request(version, BackendOutcome::from(&answer), asked.elapsed());
    answer
}

/// The end for something that the backend said.
fn delivered(answer: Answer, era: Era) -> CallEnd {
    let status = if answer.error && era == Era::Modern { modern_status(&answer.payload) } else { 0 };
    CallEnd { payload: answer.payload, error: answer.error, tool_error: answer.tool_error, status }
}

/// HTTP status that the specification ties to an error code (2026-07-28, Streamable HTTP): the backend, which speaks
/// no HTTP, cannot say it.
fn modern_status(error: &[u8]) -> u16 {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    match serde_json::from_slice(error) {
        Ok(Code { code: -32022..=-32020 }) => 400,
        Ok(Code { code: -32601 }) => 404,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_specification_s_codes_have_a_status() {
        for (code, status) in
            [(-32020, 400), (-32021, 400), (-32022, 400), (-32601, 404), (-32602, 0), (-31002, 0)]
        {
            assert_eq!(
                modern_status(format!(r#"{{"message":"x","code":{code}}}"#).as_bytes()),
                status,
                "{code}"
            );
        }
        assert_eq!(modern_status(b"[]"), 0);
    }
}
