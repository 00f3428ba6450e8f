//! Sends a call to a slave with capacity. Must not know queues and responses.

use std::sync::Arc;
use std::time::Instant;

use front::CallOutcome;
use front::calls::CallContext;
use policy::Requester;
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;

use super::call_log::log_forward;
use super::candidates::eligible;
use super::forwarder::Forwarder;
use super::open_call::OpenCall;
use super::pool::Pool;
use super::queue::CallName;
use crate::balance::Permit;
use crate::balance::pick::{NoCapacity, PickPolicy, Picked, Reach, pick};
use crate::limits::client::Client;
use crate::links::{ResponseRx, Slave};
use crate::routes::Route;
use crate::stable_hash::mix;

/// A call and where it may go.
pub(super) struct Target<'a> {
    pub(super) call: &'a OpenCall,
    /// The clients' name of the tool.
    pub(super) tool: &'a str,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) route: &'a Route<Slave>,
    /// Host slot of the slave that failed the call: picked only if no other slave takes calls.
    pub(super) avoid: Option<u64>,
    pub(super) origin: &'a Origin,
    /// Receives the response.
    pub(super) response: &'a Arc<ResponseRx>,
}

/// The client of a call, and what a legacy client calls the call.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) client: Client,
    pub(super) name: Option<CallName>,
    /// The client as the policy sees it; `None`: there is no policy.
    pub(super) requester: Option<Arc<Requester<'static>>>,
}

impl Origin {
    /// Takes the session and the request id out of the header, which must have been encoded before. Who asks is kept where a policy
    /// decides about the pool, again with each slave.
    pub(super) fn of(context: &CallContext<'_>, header: &mut CallHeader, pool: &Pool) -> Self {
        let requester = pool.access.is_some().then(|| Arc::new(context.requester().into_owned()));
        let client = Client::of(context, header);
        let name = header.session.take().zip(header.request_id.take());
        let name = name.map(|(session, request_id)| CallName { session, request_id });
        Self { client, name, requester }
    }
}

/// Why a call was not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// Slaves take calls, but none has capacity: the call may wait.
    Busy(NoCapacity),
    /// No slave takes the call.
    Failed(Failure),
}

impl Forwarder {
    /// Sends the call to a slave of its route; to one of a later priority only if none of an earlier one has capacity, and to one
    /// that does not answer at the moment only if no other can take the call.
    pub(super) fn send(&self, target: &Target<'_>, now: Instant) -> Result<Arc<Slave>, SendError> {
        let Target { call, tool, pool, route, avoid, origin, .. } = target;
        let priorities = eligible(&self.registry, pool, route, *avoid, now);
        let policy = |reach| PickPolicy {
            reach,
            random: mix(u64::try_from(call.id.0 & u128::from(u64::MAX)).unwrap_or(0)),
            weights: &pool.balance.weights,
            sticky_seed: pool.balance.sticky.then(|| origin.client.seed()),
        };
        let mut reason = NoCapacity::Absent;
        // A slave may lose its link after it was picked: another pick, as often as there are slaves.
        for _ in 0..=priorities.iter().map(|slaves| slaves.len()).sum() {
            reason = NoCapacity::Absent;
            let mut pick_within = |reach| {
                let mut within = priorities.iter().map(|slaves| pick(slaves, &policy(reach)));
                within.find_map(|picked| picked.map_err(|why| reason = reason.max(why)).ok())
            };
            let picked = pick_within(Reach::Answering).or_else(|| pick_within(Reach::All));
            let Some(Picked { slave, permit }) = picked else { break };
            if open_on(slave, permit, call, tool, target.response) {
                self.note_place(call, slave);
                self.record_sent(slave, Some(pool), now);
                return Ok(Arc::clone(slave));
            }
        }
        if reason > NoCapacity::Absent {
            return Err(SendError::Busy(reason));
        }
        Err(SendError::Failed(self.no_slave(tool, route)))
    }
}

/// Opens the call on a slave with a permit of it. Returns `false` if the slave has just lost its link.
pub(super) fn open_on(
    slave: &Slave,
    permit: Permit,
    call: &OpenCall,
    tool: &str,
    response: &Arc<ResponseRx>,
) -> bool {
    let header = call.trace.start_forward(call.id, &call.header, &slave.name);
    let mut request = call.request();
    if let Some(header) = &header {
        request.header = header;
    }
    if slave.open(&request, permit, response, Instant::now()).is_err() {
        call.trace.forward_failed(CallOutcome::Unanswered("not_sent"));
        return false;
    }
    log_forward(call.lines, call.id, &slave.name, tool);
    true
}
