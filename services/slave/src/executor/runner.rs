//! The run of a call from its arrival to its end. Must not know what kind of backend runs it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use protocol::link::header::{CallHeader, Purpose};
use protocol::mcp::era::Era;
use protocol::mcp::failure::{Failure, modern_status};
use protocol::mcp::kind::Kind;
use protocol::mcp::log_level::SessionLevels;
use runtime::activity::Activity;
use runtime::call_lines::Lines;
use runtime::telemetry::LogContext;
use tokio_util::sync::CancellationToken;

use super::call_log::{RunningCall, log_refusal};
use super::limit::ConcurrencyLimit;
use super::listen::{Listeners, Step};
use super::permission::CallPolicy;
use super::recording::{self, CallRecorder};
use super::registry::{BackendRegistry, Route};
use super::task_lists::TaskLists;
use super::timeouts::Timeouts;
use crate::backends::ShutdownGroup;
use crate::bridge::{self, Crossing, OpenAsks, ParkedCalls, TaskIds, TaskName};
use crate::call::{Answer, CallEnd, CallSink, CancelReason, Exchange, Request};
use crate::metrics;
use crate::outcome::BackendOutcome;
use crate::task_owners::{TaskKey, TaskOwners};
use crate::trace::CallTrace;

/// A call that arrived.
pub(super) struct IncomingCall {
    pub(super) header: CallHeader,
    pub(super) message: Bytes,
    /// Cancelled through the call's handle.
    pub(super) cancelled: CancellationToken,
    /// Why it was cancelled.
    pub(super) reason: CancelReason,
    pub(super) trace: CallTrace,
}

/// The services that running calls takes.
pub(super) struct CallRunner {
    pub(super) registry: Arc<BackendRegistry>,
    pub(super) limit: ConcurrencyLimit,
    pub(super) shutdown: ShutdownGroup,
    pub(super) activity: Activity,
    /// The longest wait for the tool of a backend that is in its first start (`BACKEND_WAIT`).
    pub(super) wait: Duration,
    /// Calls that wait for their client's answers.
    pub(super) parked: Arc<ParkedCalls>,
    /// Requests of backends that legacy clients were sent.
    pub(super) asks: Arc<OpenAsks>,
    /// Ids of tasks.
    pub(super) tasks: Arc<TaskIds>,
    /// Whose tasks are.
    pub(super) owners: Arc<TaskOwners>,
    pub(super) task_lists: Arc<TaskLists>,
    /// Who may call what.
    pub(super) policy: CallPolicy,
    /// Levels of log messages that sessions asked for.
    pub(super) log_levels: Mutex<SessionLevels>,
    pub(super) listeners: Listeners,
}

impl CallRunner {
    /// Runs a call and ends it, once, also when a backend's code panics.
    pub(super) async fn run(self: Arc<Self>, call: IncomingCall, sink: Box<dyn CallSink>) {
        if matches!(call.header.purpose, Purpose::Listen | Purpose::Inbox) {
            // Boxed, as all that few calls come to: a call's future has room for the largest of its steps.
            return Box::pin(self.listeners.run(&call.header, &call.message, sink, &call.cancelled)).await;
        }
        let era = call.header.era;
        let mut trace = call.trace;
        let origin = sink.origin();
        let lines = sink.log_context().map(LogContext::lines).unwrap_or_default();
        let (recorder, sink) = recording::begin(&self.activity, &call.header, &call.message, &trace, sink);
        let timeouts = Timeouts::start(&call.header);
        let mut exchange = Exchange::new(timeouts.observe(sink));
        let admitted = tokio::select! {
            biased;
            admitted = self.admit(call.header, call.message) => admitted,
            () = call.cancelled.cancelled() => Err(Failure::Cancelled),
            () = timeouts.expired() => Err(Failure::Timeout),
        };
        let admitted = match admitted {
            Ok(admitted) => {
                let tool = &admitted.0.name;
                let written = recording::write_down(tool, origin).await;
                written.inspect_err(|why| log_refusal(tool, why)).map(|()| admitted)
            }
            refused => refused,
        };
        let (mut request, route) = match admitted {
            Ok(admitted) => admitted,
            Err(failure) => return refuse(failure, era, lines, trace, exchange),
        };
        request.cancel_reason = call.reason.clone();
        request.parent = trace.set_tool(&request.name, request.json(&request.id));
        let started = Instant::now();
        let in_flight = route.meters.record_start();
        exchange = self.parkable(exchange, &request, &route, &timeouts, &call.cancelled);
        let own_name = route.own_name.clone().unwrap_or_else(|| request.name.clone());
        let running = RunningCall { lines, tool: &own_name, backend: &route.owner };
        running.log_start();
        let answer = {
            let work = pin!(self.perform(&route, &recorder, request, &mut exchange));
            // The work is polled first: most calls end before the other two would have to be armed.
            tokio::select! {
                biased;
                done = AssertUnwindSafe(work).catch_unwind() => done.unwrap_or(Err(Failure::Internal)),
                () = call.cancelled.cancelled() => Err(Failure::Cancelled),
                () = timeouts.expired() => Err(call.reason.time_out()),
            }
        };
        let (outcome, elapsed) = (BackendOutcome::from(&answer), started.elapsed());
        running.log_end(outcome, answer.as_ref().err(), elapsed);
        in_flight.record_end(outcome, elapsed);
        trace.finish(outcome);
        exchange.end(end_of(answer, era));
    }

    /// Checks everything for which a call can be refused before it runs. Waits only where its tool may come with a backend that is in
    /// its first start.
    async fn admit(&self, header: CallHeader, message: Bytes) -> Result<(Box<Request>, Arc<Route>), Failure> {
        if self.shutdown.is_stopping() {
            log_refusal(header.name.as_deref().unwrap_or_default(), &Failure::Draining);
            return Err(Failure::Draining);
        }
        let parsed = Request::parse(header, message).inspect_err(|why| log_refusal("", why))?;
        let mut request = Box::new(parsed);
        if let Some(level) = request.header.session.as_deref().and_then(|key| self.log_levels.lock().get(key))
        {
            // What the session said last. The header's level helps a slave that was not there at that time.
            request.header.log_level = Some(level);
        }
        let owner = self.take_task(&mut request).inspect_err(|why| log_refusal("", why))?;
        let refused = |why: &Failure| log_refusal(&request.name, why);
        let route = match owner {
            Some(owner) => self.route_of_task(&request, &owner).inspect_err(refused)?,
            None => self.registry.find(&request, self.wait).await.inspect_err(refused)?,
        };
        if request.header.era == Era::Modern {
            route.param_headers.check(&request).inspect_err(refused)?;
        }
        self.policy.check(&request, &route, &self.registry).inspect_err(refused)?;
        Ok((request, route))
    }

    /// Takes the backend's own id of a task into the request; returns the digest of the backend. `None`: the request is about no task.
    fn take_task(&self, request: &mut Request) -> Result<Option<String>, Failure> {
        if request.kind != Some(Kind::Task) {
            return Ok(None);
        }
        let task = self.tasks.read(&request.name, request.header.client.as_deref());
        let TaskName { owner, origin, id } =
            task.ok_or_else(|| Failure::UnknownTask(request.name.clone()))?;
        request.name = id;
        request.task_origin = Some(origin);
        Ok(Some(owner))
    }

    /// Returns the route to the backend that has a task, whose name has this digest.
    fn route_of_task(&self, request: &Request, owner: &str) -> Result<Arc<Route>, Failure> {
        let route = self.registry.of_digest(owner)?;
        let client = request.header.client.as_deref();
        let generation = request.task_origin.as_ref().map_or(0, |origin| origin.generation);
        let process = client.filter(|_| route.backend.has_own_processes()).map(Into::into);
        let (backend, id) = (route.owner.as_str().into(), request.name.as_str().into());
        let key = TaskKey { backend, process, generation, id };
        if self.owners.is_of_another(&key, client, Instant::now()) {
            return Err(Failure::UnknownTask("its backend has given its id to another client's".into()));
        }
        Ok(route)
    }

    /// Waits for a permit and runs the call on its backend.
    async fn perform(
        &self,
        route: &Route,
        recorder: &CallRecorder,
        request: Box<Request>,
        exchange: &mut Exchange,
    ) -> Result<Answer, Failure> {
        if let Some(step) = Step::of(&request.header.method) {
            return Box::pin(self.listeners.step(step, route, &request, self.wait)).await;
        }
        let _permit = self.limit.acquire().await?;
        recorder.on_running(&route.owner);
        let own_name = route.own_name.clone().unwrap_or_else(|| request.name.clone());
        let to = Crossing {
            backend: &*route.backend,
            owner: &route.owner,
            tasks: &self.tasks,
            owners: &self.owners,
        };
        let version = route.backend.version();
        let started = Instant::now();
        let answer = bridge::call(to, &own_name, request, exchange).await;
        if let Some(version) = version {
            route.meters.record_backend_request(version, BackendOutcome::from(&answer), started.elapsed());
        }
        answer
    }
}

/// Ends a call that did not come to run.
fn refuse(failure: Failure, era: Era, lines: Lines, trace: CallTrace, exchange: Exchange) {
    metrics::record_refusal(&failure);
    lines.record_end(failure.spec().kind);
    exchange.end(CallEnd::failed(&failure, era));
    trace.finish(BackendOutcome::from(&Err(failure)));
}

/// Returns the end of a call.
fn end_of(answer: Result<Answer, Failure>, era: Era) -> CallEnd {
    match answer {
        Ok(Answer { payload, error, tool_error, marks }) => {
            let status = if error && era == Era::Modern { modern_status(&payload) } else { 0 };
            CallEnd { payload, error, tool_error, status, marks }
        }
        Err(failure) => CallEnd::failed(&failure, era),
    }
}
