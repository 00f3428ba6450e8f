//! The dispatcher: takes the edge's calls and hands them to the parts of `dispatch`. Must not know HTTP and frames.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use front::CallOutcome;
use front::calls::{CallContext, Calls, Listing};
use protocol::link::header::CallHeader;
use protocol::link::ids::InstanceId;
use protocol::link::session_fact::SessionFact;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use runtime::activity::Activity;
use tokio::sync::watch;

use super::begin::{NewCall, begin, take_tool};
use super::forwarder::Forwarder;
use super::listed::{Conflict, Listed};
use super::observe;
use super::ongoing::OngoingCall;
use super::policies::{CallTimes, Policies};
use super::queue::CallName;
use super::rebuild::ActiveSettings;
use super::stream::CallStream;
use crate::access::CodeStore;
use crate::links::Registry;
use crate::metrics;
use crate::routes::{ExplainRequest, Explanation, Offered, Routes, explain_with_slaves};
use crate::trace::CallTrace;

/// Takes calls for all slaves. Clones are the same dispatcher.
#[derive(Clone)]
pub(crate) struct Dispatcher(Arc<Shared>);

struct Shared {
    forwarder: Arc<Forwarder>,
    settings: ActiveSettings,
    times: CallTimes,
    activity: Activity,
}

impl Dispatcher {
    pub(crate) fn new(
        registry: Arc<Registry>,
        instance: InstanceId,
        codes: Arc<CodeStore>,
        policies: Policies,
        times: CallTimes,
        activity: Activity,
    ) -> Self {
        let forwarder = Arc::new(Forwarder::new(registry, instance));
        Self(Arc::new(Shared { forwarder, settings: ActiveSettings::new(policies, codes), times, activity }))
    }

    /// Runs `read` on the tools as clients see them and on the names that are not shown as all their slaves wrote them.
    pub(crate) fn with_names<R>(&self, read: impl FnOnce(&[Listed], &[Conflict]) -> R) -> R {
        let directory = self.0.forwarder.directory.load();
        read(directory.listed(), directory.conflicts())
    }

    /// Replaces the routes for new calls. A call under way keeps its rule.
    pub(crate) fn set_routes(&self, routes: Arc<Routes>) {
        self.0.settings.routes.store(routes);
        self.0.forwarder.registry.changed.notify_one();
    }

    /// Explains where a call would go now. The error says which part of the request cannot be understood.
    pub(crate) fn explain(&self, request: &ExplainRequest) -> Result<Explanation, String> {
        let pool = self.0.forwarder.directory.load().pool(&request.tool).map(Arc::clone);
        let offered = pool.as_ref().map(|pool| Offered { own_name: &pool.own_name, members: &pool.members });
        explain_with_slaves(&self.0.settings.routes.load(), request, offered.as_ref())
    }

    /// Keeps the directory up to date. Never returns; dropping the future stops it.
    pub(crate) async fn follow_changes(self) {
        self.0.settings.follow_changes(&self.0.forwarder).await;
    }

    /// Begins a call of a tool that is offered; failures are counted.
    fn begin(&self, mut new_call: NewCall, context: &CallContext<'_>) -> Result<Box<OngoingCall>, Failure> {
        let Shared { forwarder, settings, times, .. } = &*self.0;
        let (at, version) = (new_call.at, new_call.header.version);
        let found = take_tool(&mut new_call.header).and_then(|tool| {
            let pool = forwarder.pool(&tool)?;
            new_call.tool = tool;
            Ok(pool)
        });
        let pool = found.inspect_err(|failure| {
            metrics::record_unknown_tool(failure, version, at.elapsed().as_secs_f64());
        })?;
        new_call.trace.set_tool(&new_call.tool);
        begin(forwarder, &pool, &settings.limits.load(), *times, new_call, context)
            .inspect_err(|failure| pool.meter.record_refusal(failure, version, at.elapsed().as_secs_f64()))
    }

    fn broadcast(&self, fact: &SessionFact) {
        self.0.forwarder.registry.broadcast(&fact.encode());
    }
}

impl Calls for Dispatcher {
    type Stream = CallStream;

    fn listing(&self) -> watch::Receiver<Arc<Listing>> {
        self.0.settings.listing.subscribe()
    }

    fn call(&self, mut header: CallHeader, message: Bytes, context: CallContext<'_>) -> CallStream {
        let id = self.0.forwarder.next_id();
        let trace = CallTrace::start(id, &mut header, &message, &context);
        let log = trace.log_context(id);
        let _log = log.enter();
        let routes = || self.0.settings.routes.load_full();
        let guard = observe::begin(&self.0.activity, log, &header, &context, &message, routes);
        let new_call =
            NewCall { id, at: Instant::now(), trace: trace.clone(), header, message, tool: String::new() };
        match self.begin(new_call, &context) {
            Ok(mut call) => {
                call.guard = guard;
                CallStream::ongoing(call)
            }
            Err(failure) => {
                trace.finish(failure.spec().kind, CallOutcome::Code(failure.spec().code.into()));
                if failure == Failure::NoSlave {
                    tracing::warn!("No slave connected, cannot execute request");
                }
                guard.finish(failure.spec().kind);
                CallStream::failed(failure)
            }
        }
    }

    fn cancel(&self, session: &str, request_id: &str) {
        // The slave that has the call knows that it does: the proxy keeps no record of it, so that any replica can cancel
        // it. Only calls that no slave has are cancelled here.
        let name = CallName { session: session.into(), request_id: request_id.into() };
        self.0.forwarder.queue.cancel(&name);
        // Slaves that do not have the call learn nothing of session and request.
        let digests = self.0.forwarder.registry.fleet().cancel_ids(session, request_id);
        self.broadcast(&SessionFact::Cancelled(digests));
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        self.broadcast(&SessionFact::LogLevel { session: session.to_owned(), level });
    }

    fn end_session(&self, session: &str) {
        self.broadcast(&SessionFact::Ended(self.0.forwarder.registry.fleet().session_end(session)));
    }
}
