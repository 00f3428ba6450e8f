//! Sends calls: to a slave with room at once, else by way of the queue. Knows nothing of answers.

use std::sync::Arc;
use std::time::Instant;

use front::calls::CallContext;
use front::metrics::Ended;
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;
use tokio::sync::oneshot;

use super::calls::Dispatcher;
use super::choose::{How, NoPlace, choose, mix};
use super::client::Client;
use super::directory::Pool;
use super::health;
use super::open_call::OpenCall;
use super::queue::{Lane, Named, Newcomer, Order, Outcome, Refused, Ways, wait};
use crate::balance::Permit;
use crate::links::{ResponseRx, Slave};
use crate::metrics::{self, Refusal};
use crate::routes::Route;

/// Where a call may go, and whose it is.
pub(super) struct Aim<'a> {
    pub(super) pool: &'a Pool,
    pub(super) route: &'a Route,
    /// Where it was in vain: not again, if there is any other place.
    pub(super) avoid: Option<u64>,
    pub(super) caller: &'a Caller,
}

/// Who asked, and what a legacy client calls its call.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) named: Option<Named>,
}

impl Caller {
    /// By the request. Takes the names out of the header: it must have been written before.
    pub(super) fn of(asker: &CallContext<'_>, header: &mut CallHeader) -> Self {
        let client = Client::of(asker, header);
        Self { client, named: header.session.take().zip(header.request_id.take()) }
    }
}

/// Why a call was not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Slaves are there, but none has room: it may wait.
    Full(NoPlace),
    /// No slave is there for it.
    Failed(Failure),
}

/// Where the outcome of waiting comes.
pub(super) type Waiting = oneshot::Receiver<Outcome>;

impl Dispatcher {
    /// Sends the call to a slave of its route, of a later tier only where none of an earlier one can take it.
    pub(super) fn send(
        &self,
        aim: &Aim<'_>,
        (call, tool): (&OpenCall, &str),
        slot: &Arc<ResponseRx>,
        now: Instant,
    ) -> Result<Arc<Slave>, Unsent> {
        let Aim { pool, route, avoid, caller } = aim;
        let tiers = health::sieve((&route.tiers, *avoid), [self.outliers(), &*pool.outliers], now);
        let how = How {
            random: mix(u64::try_from(call.id.0 & u128::from(u64::MAX)).unwrap_or(0)),
            weights: &pool.balance.weights,
            sticky: pool.balance.sticky.then_some(caller.client),
        };
        let mut reason = NoPlace::Absent;
        // A slave may lose its link between the choice and the sending: another choice, as often as there are slaves.
        for _ in 0..=tiers.iter().map(|tier| tier.len()).sum() {
            reason = NoPlace::Absent;
            let chosen =
                tiers.iter().find_map(|tier| choose(tier, &how).map_err(|why| reason = reason.max(why)).ok());
            let Some((slave, place)) = chosen else { break };
            if Self::open_at((slave, place), (call, tool), slot) {
                self.outliers().record_sent(slave.host_slot(), now);
                pool.outliers.record_sent(slave.host_slot(), now);
                return Ok(Arc::clone(slave));
            }
        }
        if reason > NoPlace::Absent {
            return Err(Unsent::Full(reason));
        }
        Err(Unsent::Failed(if self.is_alone() {
            Failure::NoSlave
        } else {
            Failure::NoSlaveForTool { name: tool.into(), wanted: route.wanted() }
        }))
    }

    /// Sends the call to this slave, where it has this place. `false`: the slave has just lost its link.
    pub(super) fn open_at(
        (slave, place): (&Slave, Permit),
        (call, tool): (&OpenCall, &str),
        slot: &Arc<ResponseRx>,
    ) -> bool {
        let traced = call.trace.forwarding(call.id, &call.header, &slave.name);
        let traced = traced.map(|header| OpenCall { header, ..call.clone() });
        if slave.open(&traced.as_ref().unwrap_or(call).request(), place, slot, Instant::now()).is_err() {
            call.trace.forwarded_in_vain(Ended::Unanswered("not_sent"));
            return false;
        }
        tracing::debug!(
            slave = slave.name,
            tool,
            "Forwarding request to slave: tools/call (id: {})",
            call.id
        );
        true
    }

    /// The call waits until a slave has room for it, at most as long as the pool allows.
    pub(super) fn wait(
        &self,
        aim: &Aim<'_>,
        (call, tool): (&OpenCall, &str),
        slot: &Arc<ResponseRx>,
        reason: NoPlace,
    ) -> Result<Waiting, Failure> {
        let Aim { pool, route, caller, .. } = aim;
        let limits = pool.balance.queue;
        let newcomer =
            Newcomer { lane: Lane::new(tool, route), client: caller.client, named: caller.named.clone() };
        let seat = self.lobby().join(newcomer.clone(), limits.most, || self.ways(tool, route));
        let seat = seat.map_err(|refused| match refused {
            Refused::Full(waiting, retry_after) => {
                metrics::refused(Refusal::QueueFull);
                let queue =
                    if waiting == 0 { String::new() } else { format!(", and {waiting} calls wait already") };
                let what = format!(
                    "every slave that offers {tool} is at its capacity or rate limit{queue} (QUEUE_MAX)"
                );
                Failure::Busy { what, retry_after }
            }
            Refused::NoSlave => Failure::NoSlaveForTool { name: tool.into(), wanted: route.wanted() },
        })?;
        if reason == NoPlace::Limited {
            metrics::refused(Refusal::SlaveLimit);
        }
        let order = Order {
            newcomer,
            route: (*route).clone(),
            call: call.clone(),
            slot: Arc::clone(slot),
            longest: limits.longest,
        };
        let (tell, told) = oneshot::channel();
        call.trace.queued();
        let subject = call.subject();
        tokio::spawn(subject.during(wait(self.clone(), order, seat, tell)));
        Ok(told)
    }

    /// Where a call of this tool that goes by this rule may go now.
    pub(super) fn ways(&self, tool: &str, before: &Route) -> Option<Ways> {
        let pool = self.pool(tool).ok()?;
        let route = pool.routes.again(before);
        Some((pool, route))
    }
}
