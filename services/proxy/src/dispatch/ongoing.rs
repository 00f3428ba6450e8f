//! A call under way: drives the call's state machine with the slaves, the wait queue and the clock. Must not know HTTP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use front::CallOutcome;
use policy::{Clearance, Requester};
use protocol::link::call::ResponseEvent;
use protocol::link::response_check::ResponseCheck;
use protocol::mcp::era::Version;
use protocol::mcp::failure::{Failure, FailureKind};
use protocol::mcp::request_state::StateLabel;
use runtime::activity::CallGuard;
use runtime::call_line;
use tokio::time::{Sleep, sleep_until};

use super::awaiting::AwaitingPlace;
use super::call_log::EndedCall;
use super::call_state::{CallMachine, CallState, Dispatched, WaitOutcome};
use super::denial;
use super::ending::Ending;
use super::forwarder::Forwarder;
use super::open_call::OpenCall;
use super::pool::Pool;
use super::send::{Origin, SendError, Target};
use super::wait::{WaitReceiver, detach_reader, enqueue};
use crate::balance::fault::FaultAttribution;
use crate::links::{Recv, ResponseRx, Slave};
use crate::metrics;
use crate::routes::Route;

/// The handles that the state machine works with.
pub(super) type Machine = CallMachine<Arc<Slave>, WaitReceiver>;

/// A call that has not ended.
pub(super) struct OngoingCall {
    pub(super) forwarder: Arc<Forwarder>,
    pub(super) pool: Arc<Pool>,
    pub(super) route: Route<Slave>,
    pub(super) origin: Origin,
    pub(super) machine: Machine,
    pub(super) response: Arc<ResponseRx>,
    /// Checks what the slave sends before it goes on to the client.
    pub(super) check: ResponseCheck,
    pub(super) call: OpenCall,
    /// The clients' name of the tool.
    pub(super) tool: String,
    pub(super) version: Version,
    pub(super) began: Instant,
    /// Made when the call first waits for an attempt to find a slave.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    pub(super) guard: CallGuard,
    /// Held while the call waits for an awaited slave that it needs.
    pub(super) awaiting: Option<AwaitingPlace>,
}

/// Sends a call, or puts it into the wait queue if all slaves are busy.
pub(super) fn dispatch(
    forwarder: &Arc<Forwarder>,
    target: &Target<'_>,
    now: Instant,
) -> Result<Dispatched<Arc<Slave>, WaitReceiver>, Failure> {
    match forwarder.send(target, now) {
        Ok(slave) => Ok(Dispatched::Sent(slave)),
        Err(SendError::Busy(reason)) => Ok(Dispatched::Queued(enqueue(forwarder, target, reason)?)),
        Err(SendError::Failed(failure)) => Err(failure),
    }
}

impl OngoingCall {
    /// Polls for the next event of the response.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ResponseEvent> {
        loop {
            let event = match self.machine.state_mut() {
                CallState::Sent(_) => ready!(self.poll_response(cx)),
                CallState::Queued { wait, .. } => {
                    let outcome = ready!(Pin::new(wait).poll(cx)).unwrap_or(WaitOutcome::NoSlave);
                    self.machine.on_wait_outcome(outcome, Instant::now())
                }
                CallState::Redispatch(search) => {
                    let attempt_at = search.attempt_at;
                    ready!(self.poll_timer(attempt_at, cx));
                    self.attempt()
                }
            };
            if let Some(event) = event {
                return Poll::Ready(event);
            }
        }
    }

    /// Polls the slave that has the call. `None`: the slave has the call no more.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        Poll::Ready(match ready!(self.response.poll_recv(cx)) {
            Recv::ResponseEvent(event) => {
                let slave = self.machine.slave();
                // What the ids begin with that the slave gives out.
                let label = || slave?.state_process().map(StateLabel::beginning);
                if let Err(fault) = self.check.check(&event, self.call.era, &self.call.message, label) {
                    return Poll::Ready(Some(self.on_bad_answer(fault)));
                }
                // The check keeps the progress token from the first event on.
                self.release_message();
                if let ResponseEvent::Event { seq, payload, .. } | ResponseEvent::End { seq, payload, .. } =
                    &event
                    && let Some(slave) = self.machine.slave()
                {
                    // Whether the client gets ids is known once what came before the end has reached it.
                    let is_last = matches!(event, ResponseEvent::End { more: false, .. });
                    let forget = is_last && self.call.place.is_some() && !self.call.may_return();
                    slave.acknowledge(self.call.id, seq + 1, payload.len(), forget);
                }
                self.deliver_or_retry(event)
            }
            Recv::Unsent => self.move_elsewhere(),
            Recv::ProbablyLost => self.leave_lost_slave(),
        })
    }

    /// Frees the client's message once the slave has answered to it, unless the call may be run again.
    fn release_message(&mut self) {
        if !self.machine.may_retry() {
            self.call.message = Bytes::new();
        }
    }

    fn poll_timer(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if at <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        if timer.deadline() != at.into() {
            timer.as_mut().reset(at.into());
        }
        timer.as_mut().poll(cx)
    }

    /// Looks for another slave for a call that never reached its slave. Returns the failure after too many moves.
    fn move_elsewhere(&mut self) -> Option<ResponseEvent> {
        if !self.machine.on_unsent(Instant::now()) {
            return Some(ResponseEvent::Failed(Failure::NoSlaveForTool {
                name: self.tool.clone(),
                wanted: self.route.describe(),
            }));
        }
        metrics::record_move();
        self.call.trace.forward_failed(CallOutcome::Unanswered("not_sent"));
        None
    }

    /// Returns the event, unless the call is to be run again in its place.
    pub(super) fn deliver_or_retry(&mut self, event: ResponseEvent) -> Option<ResponseEvent> {
        let Some(reason) = self.machine.retry_reason(&event, Instant::now) else { return Some(event) };
        let Some(slave) = self.machine.slave().cloned() else { return Some(event) };
        self.forwarder.record_end(FaultAttribution::of(&event), &self.tool, &self.pool, &slave);
        metrics::record_retry(reason);
        self.call.trace.forward_failed(CallOutcome::from_event(&event, self.call.era));
        let (id, tool, slave_name) = (self.call.id, &self.tool, &slave.name);
        call_line!(
            self.call.lines,
            tool,
            slave = slave_name,
            reason,
            "Call is run again, as its tool allows (id: {id})"
        );
        self.machine.retry(event, slave.host_slot(), Instant::now());
        None
    }

    /// Makes one attempt to find a slave. Returns the event that ends the call, if it does.
    fn attempt(&mut self) -> Option<ResponseEvent> {
        if self.is_cancelled() {
            return Some(ResponseEvent::Failed(Failure::Cancelled));
        }
        if let Some(failure) = self.refusal() {
            return Some(self.machine.refuse(failure));
        }
        let result = self.redispatch();
        // A cancellation during the attempt has found the call neither in the queue nor at a slave.
        if let Ok(dispatched) = &result
            && self.is_cancelled()
        {
            self.cancel_dispatched(dispatched);
            return Some(ResponseEvent::Failed(Failure::Cancelled));
        }
        if result.is_ok() {
            self.awaiting = None;
        }
        self.machine.on_attempt(result, Instant::now())
    }

    /// Sends the call to one of the present slaves by the same rule, under a new id so that no slave takes it for the call
    /// of before.
    fn redispatch(&mut self) -> Result<Dispatched<Arc<Slave>, WaitReceiver>, Failure> {
        let CallState::Redispatch(search) = self.machine.state() else { return Err(Failure::Internal) };
        let avoid = search.avoid;
        let pool = self.forwarder.successor(&self.tool, &self.pool)?;
        self.call.id = self.forwarder.next_id();
        self.check.restart();
        self.guard.set_id(|| self.call.log_context().request());
        let _log = self.call.log_context().enter();
        let clearance = self.clear(&pool)?;
        let before = self.route.clone().cleared(clearance);
        self.route = self.forwarder.reroute(&pool, &self.tool, &before)?;
        let target = Target {
            call: &self.call,
            tool: &self.tool,
            pool: &pool,
            route: &self.route,
            avoid,
            origin: &self.origin,
            response: &self.response,
        };
        dispatch(&self.forwarder, &target, Instant::now())
    }

    /// Returns why the policy of now refuses the call, if it does. No other slave is looked for then.
    fn refusal(&self) -> Option<Failure> {
        let pool = self.forwarder.successor(&self.tool, &self.pool).ok()?;
        let access = pool.access.as_ref()?;
        let (kind, client) = (pool.kind, self.requester());
        let decision = access.clear(&client, &self.tool, &self.call.message).err()?;
        denial::record(access.policy(), decision, kind, &self.tool, &client);
        Some(denial::failure(access.policy(), decision, kind, &self.tool, &client))
    }

    /// Returns the client as the policy sees it.
    fn requester(&self) -> Arc<Requester<'static>> {
        self.origin.requester.clone().unwrap_or_default()
    }

    /// Asks the policy of now for the call; `None`: there is none.
    fn clear(&self, pool: &Pool) -> Result<Option<Arc<Clearance>>, Failure> {
        let Some(access) = &pool.access else { return Ok(None) };
        let client = self.requester();
        let cleared = access.clear(&client, &self.tool, &self.call.message);
        cleared
            .map(Some)
            .map_err(|decision| denial::failure(access.policy(), decision, pool.kind, &self.tool, &client))
    }

    /// Whether a legacy client has cancelled the call. A slave that has the call is told of that by itself.
    fn is_cancelled(&self) -> bool {
        let name = self.origin.name.as_ref();
        name.is_some_and(|name| self.forwarder.queue.was_cancelled(name, self.began))
    }

    /// Takes a cancelled call back from where an attempt has just put it.
    fn cancel_dispatched(&self, dispatched: &Dispatched<Arc<Slave>, WaitReceiver>) {
        match dispatched {
            Dispatched::Queued(_) => {
                if let Some(name) = &self.origin.name {
                    self.forwarder.queue.cancel(name);
                }
            }
            Dispatched::Sent(slave) => {
                self.record_abandoned(slave);
                slave.cancel(self.call.id);
            }
        }
    }

    /// Records that the call ended early by no fault of its slave.
    fn record_abandoned(&self, slave: &Slave) {
        self.forwarder.record_end(FaultAttribution::Neutral, &self.tool, &self.pool, slave);
    }

    /// Records the end of the call by the last event of its response.
    pub(super) fn on_last_event(&self, event: &ResponseEvent) {
        if let Some(slave) = self.machine.slave() {
            self.forwarder.record_end(FaultAttribution::of(event), &self.tool, &self.pool, slave);
        }
        let ending = Ending::of(event, self.call.era);
        if ending.answered && ending.outcome == FailureKind::Timeout.as_str() {
            // Both ends keep the timeout; this time the slave's was first.
            metrics::record_timeouts(1);
        }
        self.record_ending(ending, Some(event));
    }

    /// Takes the call out of the queue or tells its slave, as its reader is gone.
    pub(super) fn on_reader_gone(&mut self) {
        let slave = match self.machine.state_mut() {
            CallState::Sent(slave) => Some(Arc::clone(slave)),
            CallState::Queued { wait, .. } => {
                wait.close();
                if let Ok(WaitOutcome::Sent(slave)) = wait.try_recv() { Some(slave) } else { None }
            }
            CallState::Redispatch(_) => None,
        };
        if let Some(slave) = &slave {
            self.record_abandoned(slave);
            detach_reader(slave, &self.call);
        }
        self.record_ending(Ending::reader_gone(self.call.era, slave.is_some()), None);
    }

    /// `last` is the last event of the response; `None`: its reader went away.
    fn record_ending(&self, Ending { outcome, ended, .. }: Ending, last: Option<&ResponseEvent>) {
        self.call.trace.finish(outcome, ended);
        let elapsed = self.began.elapsed();
        self.pool.meter.record_end(outcome, ended, self.version, elapsed.as_secs_f64());
        self.guard.finish(outcome);
        let slave = self.machine.slave().map_or("", |slave| {
            slave.meter.record_call(outcome);
            slave.name.as_str()
        });
        let OpenCall { lines, id, .. } = self.call;
        EndedCall { lines, id, tool: &self.tool, slave, outcome, elapsed }.log(last);
    }
}
