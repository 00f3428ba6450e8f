//! The dispatcher: takes the edge's calls and hands them to the parts of `dispatch`. Must not know HTTP and frames.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use front::CallOutcome;
use front::calls::{CallContext, Calls, Listing, Updates};
use futures_util::future::BoxFuture;
use policy::Requester;
use protocol::link::header::CallHeader;
use protocol::link::session_fact::SessionFact;
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::method::Method;
use protocol::mcp::subscription::MAX_URI;
use runtime::activity::{Activity, CallGuard};
use tokio::sync::watch;

use super::begin::{NewCall, begin};
use super::call_log::log_refusal;
use super::catalog::{self, CatalogRow};
use super::denial;
use super::early::{self, EarlyWait, KeptContext};
use super::forwarder::Forwarder;
use super::listed::{Conflict, Listed};
use super::listening;
use super::observe;
use super::ongoing::OngoingCall;
use super::policies::CallTimes;
use super::pool::Pool;
use super::posting;
use super::queue::CallName;
use super::rebuild::ActiveSettings;
use super::stream::CallStream;
use super::task_lists;
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
        forwarder: Forwarder,
        settings: ActiveSettings,
        times: CallTimes,
        activity: Activity,
    ) -> Self {
        let forwarder = Arc::new(forwarder);
        Self(Arc::new(Shared { forwarder, settings, times, activity }))
    }

    /// Runs `read` on the tools as clients see them and on the names that are not shown as all their slaves wrote them.
    pub(crate) fn with_names<R>(&self, read: impl FnOnce(&[Listed], &[Conflict]) -> R) -> R {
        let directory = self.0.forwarder.directory.load();
        read(directory.listed(), directory.conflicts())
    }

    /// Calls `each` with every entry that clients are shown, whoever may see it.
    pub(crate) fn read_catalog(&self, each: impl FnMut(CatalogRow<'_>)) {
        let listing = self.0.settings.listing.borrow().clone();
        catalog::read(&self.0.forwarder.directory.load(), &listing, each);
    }

    /// Replaces the routes for new calls. A call under way keeps its rule.
    pub(crate) fn set_routes(&self, routes: Arc<Routes>) {
        self.0.settings.routes.store(routes);
        self.0.forwarder.registry.changed.notify_one();
    }

    /// Decides by another policy, or by the same one anew.
    pub(crate) fn on_policy_changed(&self) {
        self.0.forwarder.registry.changed.notify_one();
    }

    /// Explains where a call would go now. The error says which part of the request cannot be understood.
    pub(crate) fn explain(&self, request: &ExplainRequest) -> Result<Explanation, String> {
        let pool = self.0.forwarder.directory.load().tool(&request.tool).map(Arc::clone);
        let offered = pool.as_ref().map(|pool| Offered { own_name: &pool.own_name, members: &pool.members });
        explain_with_slaves(&self.0.settings.routes.load(), request, offered.as_ref())
    }

    /// Keeps the directory up to date. Never returns; dropping the future stops it.
    pub(crate) async fn follow_changes(self) {
        self.0.settings.follow_changes(&self.0.forwarder).await;
    }

    /// Returns the pool of a call, if a slave of it may go on with what the call brings back.
    fn find_pool(&self, new_call: &NewCall, context: &CallContext<'_>) -> Result<Arc<Pool>, Failure> {
        let Shared { forwarder, settings, .. } = &*self.0;
        let (header, client) = (&new_call.header, || context.requester());
        if header.purpose.is_request() {
            let pool = forwarder.pool(header.kind, &new_call.tool, client)?;
            early::check_giver(&pool, header.request_state, forwarder)?;
            return Ok(pool);
        }
        let pool = settings.giver(forwarder, header.request_state)?;
        let may_go_on = new_call.about.as_ref().is_none_or(|about| {
            pool.members.iter().all(|slave| forwarder.may_use(client, about.kind, &about.name, slave))
        });
        if may_go_on { Ok(pool) } else { Err(Failure::StateLost) }
    }

    /// Begins a call of a tool that is offered; failures are counted.
    fn begin(
        &self,
        found: Result<Arc<Pool>, Failure>,
        new_call: NewCall,
        context: &CallContext<'_>,
        guard: CallGuard,
    ) -> Result<Box<OngoingCall>, Failure> {
        let Shared { forwarder, settings, times, .. } = &*self.0;
        let (at, version, trace) = (new_call.at, new_call.header.version, new_call.trace.clone());
        let begun = match found {
            Err(failure) => {
                let method = Method::label(&new_call.header.method);
                metrics::record_unknown(method, &failure, version, at.elapsed().as_secs_f64());
                log_refusal(&failure, &new_call.tool);
                self.record_denial(&new_call, &context.requester());
                Err(failure)
            }
            Ok(pool) => {
                if pool.kind == Some(Kind::Tool) {
                    trace.set_tool(&new_call.tool);
                }
                begin(forwarder, &pool, &settings.limits.load(), *times, new_call, context).inspect_err(
                    |failure| {
                        pool.meter.record_refusal(failure, version, at.elapsed().as_secs_f64());
                        log_refusal(failure, &pool.own_name);
                    },
                )
            }
        };
        match begun {
            Ok(mut call) => {
                call.guard = guard;
                Ok(call)
            }
            Err(failure) => {
                trace.finish(failure.spec().kind, CallOutcome::of_failure(&failure, version.era()));
                guard.finish(failure.spec().kind);
                Err(failure)
            }
        }
    }

    /// Records that the policy hides what a call names, if it does.
    fn record_denial(&self, call: &NewCall, client: &Requester<'_>) {
        let kind = call.header.kind;
        if let Some((policy, decision)) = self.0.forwarder.denial(kind, &call.tool, client) {
            denial::record(&policy, decision, kind, &call.tool, client);
        }
    }

    /// Lists a client's tasks, of all slaves.
    fn list_tasks(&self, mut header: CallHeader, message: Bytes, context: &CallContext<'_>) -> CallStream {
        if let Err(failure) = self.0.settings.limits.load().admit(context) {
            return CallStream::failed(failure);
        }
        let forwarder = &self.0.forwarder;
        let client = context.client(header.session.as_deref());
        header.identity = context.credential.identity();
        header.client = client.and_then(|client| forwarder.registry.fleet().client_id(client));
        let requester = context.requester().into_owned();
        CallStream::made(task_lists::list(Arc::clone(forwarder), header, message, requester))
    }

    /// Returns until when a call that failed so may wait for slaves that link after the start; `None`: it does not.
    fn waits_until(&self, failure: &Failure, at: Instant) -> Option<Instant> {
        let end = self.0.forwarder.waits_until(failure, at)?;
        Some(end.min(at + self.0.times.silence))
    }

    /// Begins a call that no slave could take yet, once one could.
    async fn begin_early(
        self,
        wait: EarlyWait,
        new_call: NewCall,
        context: KeptContext,
        guard: CallGuard,
    ) -> Result<Box<OngoingCall>, Failure> {
        let context = context.context();
        let found = wait.pool(&self.0.forwarder, || self.find_pool(&new_call, &context)).await;
        self.begin(found, new_call, &context, guard)
    }

    /// Tells all slaves what a session does not want any more: the request goes to one of those that could have its subscription.
    fn tell_of_unsubscribe(&self, header: &CallHeader) {
        if header.method == "resources/unsubscribe"
            && let (Some(session), Some(uri)) = (&header.session, &header.name)
            && uri.len() <= MAX_URI
        {
            self.broadcast(&SessionFact::Unsubscribed { session: session.clone(), uri: uri.clone() });
        }
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
        if header.method == "tasks/list" && header.purpose.is_request() {
            return self.list_tasks(header, message, &context);
        }
        let id = self.0.forwarder.next_id();
        let trace = CallTrace::start(id, &mut header, &message, &context);
        let log = trace.log_context(id);
        let _log = log.enter();
        let routes = || self.0.settings.routes.load_full();
        let guard = observe::begin(&self.0.activity, log, &header, &context, &message, routes);
        self.tell_of_unsubscribe(&header);
        let mut new_call = NewCall::new(id, trace, header, message);
        let found = new_call.take_name().and_then(|()| self.find_pool(&new_call, &context));
        if let Err(failure) = &found
            && let Some(until) = self.waits_until(failure, new_call.at)
        {
            tracing::debug!(
                tool = new_call.tool,
                "No slave is there yet that could take the call: it waits for slaves (START_WINDOW) and their catalogs"
            );
            let wait = EarlyWait::new(&new_call.header, new_call.at, until);
            let begun = self.clone().begin_early(wait, new_call, KeptContext::of(&context), guard);
            return CallStream::early(log.in_scope(begun));
        }
        match self.begin(found, new_call, &context, guard) {
            Ok(call) => CallStream::ongoing(call),
            Err(failure) => CallStream::failed(failure),
        }
    }

    fn cancel(&self, session: &str, request_id: &str, reason: Option<&str>) {
        // The slave that has the call knows that it does: the proxy keeps no record of it, so that any replica can cancel
        // it. Only calls that no slave has are cancelled here.
        let name = CallName { session: session.into(), request_id: request_id.into() };
        self.0.forwarder.queue.cancel(&name);
        // Slaves that do not have the call learn nothing of session and request.
        let digests = self.0.forwarder.registry.fleet().cancel_ids(session, request_id);
        self.broadcast(&SessionFact::Cancelled { digests, reason: reason.map(str::to_owned) });
    }

    fn set_log_level(&self, session: &str, level: LogLevel) {
        self.broadcast(&SessionFact::LogLevel { session: session.to_owned(), level });
    }

    fn notify(&self, session: &str, message: &Bytes) {
        let Ok(message) = str::from_utf8(message) else { return };
        let (session, message) = (session.to_owned(), message.to_owned());
        self.broadcast(&SessionFact::Notified { session, message });
    }

    fn end_session(&self, session: &str) {
        self.broadcast(&SessionFact::Ended(self.0.forwarder.registry.fleet().session_end(session)));
    }

    fn updates(&self, mut header: CallHeader, message: Bytes, context: CallContext<'_>) -> Updates {
        let client = context.client(header.session.as_deref());
        header.identity = context.credential.identity();
        header.client = client.and_then(|client| self.0.forwarder.registry.fleet().client_id(client));
        listening::listen(&self.0.forwarder, header, message, context.requester().into_owned())
    }

    fn post(&self, session: &str, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(posting::post(Arc::clone(&self.0.forwarder), session.to_owned(), message))
    }
}

#[cfg(test)]
mod tests;
