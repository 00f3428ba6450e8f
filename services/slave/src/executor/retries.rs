//! Retries of clients that go on with a parked call (docs/ERAS.md). Must not know what kind of backend runs the call.

use std::sync::Arc;

use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;

use super::call_log::log_refusal;
use super::recording;
use super::registry::Route;
use super::runner::{CallRunner, IncomingCall};
use super::timeouts::Timeouts;
use crate::bridge::{AskingSink, LegacyAskSink, MAY_REQUIRE_INPUT, Parking, Retry};
use crate::call::{CallEnd, CallSink, Exchange, Request};
use crate::metrics;
use crate::outcome::BackendOutcome;
use protocol::mcp::era::Era;

impl CallRunner {
    /// Serves what arrives: a call that begins, or a retry that goes on with a parked one.
    pub(super) async fn serve(self: Arc<Self>, call: IncomingCall, sink: Box<dyn CallSink>) {
        match Retry::of(&call.header, &call.message) {
            Ok(None) => self.run(call, sink).await,
            Ok(Some(retry)) => self.go_on(retry, call, sink).await,
            Err(failure) => refuse(&failure, call, sink),
        }
    }

    /// Hands the retry's sink to its parked call, and waits until that has answered the retry: a cancellation of the retry cancels the call.
    async fn go_on(&self, retry: Retry, call: IncomingCall, sink: Box<dyn CallSink>) {
        let name = call.header.name.clone().unwrap_or_default();
        if let Err(failure) = recording::write_down(&name, sink.origin()).await {
            return refuse(&failure, call, sink);
        }
        let lines = sink.log_context().map(LogContext::lines).unwrap_or_default();
        let recorded = recording::begin(&self.activity, &call.header, &call.message, &call.trace, sink);
        let mut resumed = match self.parked.resume(retry, &call.header, recorded.1) {
            Ok(resumed) => resumed,
            Err((failure, sink)) => return refuse(&failure, call, sink),
        };
        tokio::select! {
            biased;
            () = resumed.ended() => {}
            () = call.cancelled.cancelled() => {
                resumed.cancel();
                resumed.ended().await;
            }
        }
        lines.record_end("ok");
        call.trace.finish(BackendOutcome::Success);
    }

    /// Returns the exchange of a call that is about to run: where its backend may ask, one through which a legacy client is asked, or one that
    /// can be parked until a modern client's retry.
    pub(super) fn parkable(
        &self,
        exchange: Exchange,
        request: &Request,
        route: &Route,
        timeouts: &Arc<Timeouts>,
        call: &tokio_util::sync::CancellationToken,
    ) -> Exchange {
        let header = &request.header;
        if header.era == Era::Legacy {
            let asks = header.client_capabilities.is_some();
            let wrap = |sink| LegacyAskSink::wrap(&self.asks, header, sink);
            return if asks { exchange.wrap(wrap) } else { exchange };
        }
        let may_park = header.era == Era::Modern && MAY_REQUIRE_INPUT.contains(&header.method.as_str());
        if !may_park || !route.backend.may_ask() {
            return exchange;
        }
        let parking = Parking {
            parked: Arc::clone(&self.parked),
            timers: Arc::<Timeouts>::clone(timeouts),
            cancelled: call.clone(),
        };
        exchange.wrap(|sink| AskingSink::wrap(parking, header, &request.message, sink))
    }
}

/// Ends a retry that goes on with nothing.
fn refuse(failure: &Failure, call: IncomingCall, sink: Box<dyn CallSink>) {
    log_refusal(call.header.name.as_deref().unwrap_or_default(), failure);
    metrics::record_refusal(failure);
    if let Some(context) = sink.log_context() {
        context.lines().record_end(failure.spec().kind);
    }
    let end = CallEnd::failed(failure, call.header.era);
    call.trace.finish(BackendOutcome::from(&Err(failure.clone())));
    sink.end(end);
}
