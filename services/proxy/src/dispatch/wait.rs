//! The task of one waiting call, from the queue until a slave has the call or the wait is over. Must not know fairness.
//!
//! A task of its own, since the reader of the response may be reading other responses first (those of a batch are read in
//! order), and a permit must not lie unused meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::call_state::WaitOutcome;
use super::candidates::PoolCandidates;
use super::forwarder::Forwarder;
use super::open_call::OpenCall;
use super::pool::Pool;
use super::queue::{self, Decision, EnqueueError, Pending, QueueKey};
use super::send::{Target, open_on};
use crate::balance::pick::NoCapacity;
use crate::links::{ResponseRx, Slave};
use crate::metrics::{self, RefusalReason};
use crate::routes::Route;

type Waiter = queue::Waiter<PoolCandidates>;

/// Receives what becomes of a waiting call.
pub(super) type WaitReceiver = oneshot::Receiver<WaitOutcome<Arc<Slave>>>;

/// A call that waits.
struct WaitRequest {
    pending: Pending,
    pool: Arc<Pool>,
    route: Route<Slave>,
    call: OpenCall,
    response: Arc<ResponseRx>,
    /// `QUEUE_TIMEOUT`.
    timeout: Duration,
}

fn label(outcome: &WaitOutcome<Arc<Slave>>) -> &'static str {
    match outcome {
        WaitOutcome::Sent(_) => "sent",
        WaitOutcome::NoSlave => "no_slave",
        WaitOutcome::Failed(Failure::Cancelled) => "cancelled",
        WaitOutcome::Failed(_) => "timeout",
    }
}

/// Puts the call into the wait queue and spawns its task. Dropping the receiver takes the call out of the queue, or off the
/// slave that has just got it.
pub(super) fn enqueue(
    forwarder: &Arc<Forwarder>,
    target: &Target<'_>,
    reason: NoCapacity,
) -> Result<WaitReceiver, Failure> {
    let Target { call, tool, pool, route, origin, response, .. } = target;
    let limits = pool.balance.queue;
    let key = QueueKey {
        tool: (*tool).into(),
        provider: Arc::clone(&pool.provider),
        rule: route.number(),
        clearance: route.clearance().cloned(),
    };
    let pending = Pending { key, client: origin.client, name: origin.name.clone() };
    let candidates = || forwarder.candidates(tool, pool, route);
    let waiter = forwarder.queue.enqueue(pending.clone(), limits.most, candidates);
    let waiter = waiter.map_err(|error| match error {
        EnqueueError::Full { waiting, retry_after } => {
            metrics::record_refusal(RefusalReason::QueueFull);
            Failure::Busy { what: describe_full(tool, waiting), retry_after }
        }
        EnqueueError::NoSlave => Failure::NoSlaveForTool { name: (*tool).into(), wanted: route.describe() },
    })?;
    if reason == NoCapacity::Limited {
        metrics::record_refusal(RefusalReason::SlaveLimit);
    }
    let request = WaitRequest {
        pending,
        pool: Arc::clone(pool),
        route: (*route).clone(),
        call: (*call).clone(),
        response: Arc::clone(response),
        timeout: limits.longest,
    };
    let (sender, receiver) = oneshot::channel();
    call.trace.on_queue();
    tokio::spawn(call.log_context().in_scope(run(Arc::clone(forwarder), request, waiter, sender)));
    Ok(receiver)
}

fn describe_full(tool: &str, waiting: usize) -> String {
    let queue = if waiting == 0 { String::new() } else { format!(", and {waiting} calls wait already") };
    format!("every slave that offers {tool} is at its capacity or rate limit{queue} (QUEUE_MAX)")
}

/// Waits and reports the outcome, unless the reader goes away.
async fn run(
    forwarder: Arc<Forwarder>,
    request: WaitRequest,
    waiter: Waiter,
    mut sender: oneshot::Sender<WaitOutcome<Arc<Slave>>>,
) {
    let since = Instant::now();
    let outcome = tokio::select! {
        biased;
        () = sender.closed() => None,
        outcome = wait(&forwarder, &request, waiter) => Some(outcome),
    };
    metrics::record_queue_wait(outcome.as_ref().map_or("cancelled", label), since.elapsed().as_secs_f64());
    if let Some(outcome) = outcome
        && let Err(WaitOutcome::Sent(slave)) = sender.send(outcome)
    {
        detach_reader(&slave, &request.call);
    }
}

/// Tells the slave that the call's reader is gone: a modern client's call ends, a legacy client's call runs on.
pub(super) fn detach_reader(slave: &Slave, call: &OpenCall) {
    match call.era {
        Era::Modern => slave.cancel(call.id),
        Era::Legacy => slave.abandon(call.id, call.may_return(), Instant::now()),
    }
}

async fn wait(forwarder: &Forwarder, request: &WaitRequest, mut waiter: Waiter) -> WaitOutcome<Arc<Slave>> {
    let deadline = request.call.last.min(Instant::now() + request.timeout);
    let tool = &request.pending.key.tool;
    loop {
        let Ok(decision) = timeout_at(deadline.into(), &mut waiter.decision).await else {
            return WaitOutcome::Failed(timed_out(&waiter, request, deadline));
        };
        match decision {
            Ok(Decision::Serve(slave, _))
                if !forwarder.still_allows(tool, &request.pool, &request.route, &slave) =>
            {
                return WaitOutcome::NoSlave;
            }
            Ok(Decision::Serve(slave, permit)) => {
                if open_on(&slave, permit, &request.call, tool, &request.response) {
                    forwarder.note_place(&request.call, &slave);
                    let pool = forwarder.successor(tool, &request.pool).ok();
                    forwarder.record_sent(&slave, pool.as_deref(), Instant::now());
                    return WaitOutcome::Sent(slave);
                }
            }
            Ok(Decision::Cancelled) => return WaitOutcome::Failed(Failure::Cancelled),
            Ok(Decision::NoSlave) | Err(_) => return WaitOutcome::NoSlave,
        }
        // The slave lost its link at that moment.
        let candidates = || forwarder.candidates(tool, &request.pool, &request.route);
        let requeued = forwarder.queue.requeue(request.pending.clone(), waiter.ticket(), candidates);
        let Ok(requeued) = requeued else { return WaitOutcome::NoSlave };
        waiter = requeued;
    }
}

fn timed_out(waiter: &Waiter, request: &WaitRequest, deadline: Instant) -> Failure {
    if deadline == request.call.last {
        metrics::record_timeouts(1);
        return Failure::Timeout;
    }
    metrics::record_refusal(RefusalReason::QueueTimeout);
    let (tool, seconds) = (&request.pending.key.tool, request.timeout.as_secs_f64());
    let what = format!(
        "every slave that offers {tool} was at its capacity or rate limit for {seconds} s (QUEUE_TIMEOUT)"
    );
    Failure::Busy { what, retry_after: waiter.retry_after() }
}
