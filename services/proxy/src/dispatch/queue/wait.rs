//! One waiting call from the moment it waits until a slave has it or it is given up. Knows nothing of fairness.
//!
//! A task of its own: whoever reads the answer may look at other answers first (a batch is answered in order), and a
//! place must not lie idle for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::{Newcomer, Refused, Seat, Verdict};
use crate::dispatch::calls::Dispatcher;
use crate::dispatch::open_call::OpenCall;
use crate::links::{ResponseRx, Slave};
use crate::metrics::{self, Refusal};
use crate::routes::Route;

/// What waits.
pub(in crate::dispatch) struct Order {
    pub(in crate::dispatch) newcomer: Newcomer,
    pub(in crate::dispatch) route: Route,
    pub(in crate::dispatch) call: OpenCall,
    pub(in crate::dispatch) slot: Arc<ResponseRx>,
    /// `QUEUE_TIMEOUT`.
    pub(in crate::dispatch) longest: Duration,
}

/// What became of it.
pub(in crate::dispatch) enum Outcome {
    /// This slave has it; the answer goes to the slot.
    Sent(Arc<Slave>),
    /// The last slave that could take it is gone.
    NoSlave,
    Failed(Failure),
}

impl Outcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::NoSlave => "no_slave",
            Self::Failed(Failure::Cancelled) => "cancelled",
            Self::Failed(_) => "timeout",
        }
    }
}

/// Waits and tells. A reader that goes away takes the call out of the queue at once, or off the slave.
pub(in crate::dispatch) async fn wait(
    dispatcher: Dispatcher,
    order: Order,
    seat: Seat,
    mut tell: oneshot::Sender<Outcome>,
) {
    let since = Instant::now();
    let outcome = tokio::select! {
        biased;
        () = tell.closed() => None,
        outcome = served(&dispatcher, &order, seat) => Some(outcome),
    };
    metrics::waited(outcome.as_ref().map_or("cancelled", Outcome::label), since.elapsed().as_secs_f64());
    if let Some(outcome) = outcome
        && let Err(Outcome::Sent(slave)) = tell.send(outcome)
    {
        release(&slave, &order.call);
    }
}

/// The reader of a call is gone: a modern client's call ends, a legacy client's runs on.
pub(in crate::dispatch) fn release(slave: &Slave, call: &OpenCall) {
    match call.era {
        Era::Modern => slave.cancel(call.id),
        Era::Legacy => slave.abandon(call.id, Instant::now()),
    }
}

async fn served(dispatcher: &Dispatcher, order: &Order, mut seat: Seat) -> Outcome {
    let last = order.call.last.min(Instant::now() + order.longest);
    loop {
        let ticket = seat.at.ticket;
        let Ok(verdict) = timeout_at(last.into(), &mut seat.verdict).await else {
            return too_late(&seat, order, last);
        };
        match verdict {
            Ok(Verdict::Place(slave, place)) => {
                let tool = &order.newcomer.lane.tool;
                if Dispatcher::open_at((&slave, place), (&order.call, tool), &order.slot) {
                    dispatcher.sent(&slave, tool, Instant::now());
                    return Outcome::Sent(slave);
                }
            }
            Ok(Verdict::Cancelled) => return Outcome::Failed(Failure::Cancelled),
            Ok(Verdict::NoSlave) | Err(_) => return Outcome::NoSlave,
        }
        // The slave lost its link at that moment.
        let ways = || dispatcher.ways(&order.newcomer.lane.tool, &order.route);
        seat = match dispatcher.lobby().rejoin(order.newcomer.clone(), ticket, ways) {
            Ok(seat) => seat,
            Err(Refused::Full(..) | Refused::NoSlave) => return Outcome::NoSlave,
        };
    }
}

fn too_late(seat: &Seat, order: &Order, last: Instant) -> Outcome {
    if last == order.call.last {
        metrics::timeouts(1);
        return Outcome::Failed(Failure::Timeout);
    }
    metrics::refused(Refusal::QueueTimeout);
    let (tool, seconds) = (&order.newcomer.lane.tool, order.longest.as_secs_f64());
    let what = format!(
        "every slave that offers {tool} was at its capacity or rate limit for {seconds} s (QUEUE_TIMEOUT)"
    );
    let retry_after = seat.lobby.retry_after(&seat.at.lane);
    Outcome::Failed(Failure::Busy { what, retry_after })
}
