//! The slaves that may go on with an exchange (MCP 2026-07-28, "Multi Round-Trip Requests"): those that a call's `requestState` leaves of
//! its route. Must not know calls.
//!
//! The state goes back to the process that gave it out. If that is gone, another slave of its identity in the pool takes it over, as
//! stateless servers allow. A client that changes the label reaches no slave that its call could not have reached anyway.

use std::sync::Arc;
use std::time::Instant;

use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::request_state::{LABEL_LENGTH, RequestState, StateLabel};

use crate::fleet::Fleet;
use crate::links::Slave;
use crate::routes::{Narrowed, Priorities, Route};

/// Returns the route to the slaves that may go on with the exchange.
///
/// # Errors
/// No slave of the route may.
pub(super) fn narrow(
    route: Route<Slave>,
    state: RequestState,
    fleet: &Fleet,
) -> Result<Route<Slave>, Failure> {
    match state {
        RequestState::Absent => Ok(route),
        // Only slaves of the plain dialect give states out as they are.
        RequestState::Bare => {
            keep(route, state, |slave| slave.accepts_calls() && slave.state_process().is_none()).map_err(
                |_| Failure::InvalidParams("params.requestState is not one that this server gave out".into()),
            )
        }
        RequestState::Labelled(label) => {
            let is_process = |slave: &Slave| slave.state_process() == Some(label.process);
            let is_identity = |slave: &Slave| fleet.is_of_identity(label, &slave.state_identity());
            // An instance proves nothing: two processes may name the same one.
            // It is waited for where it is awaited.
            let now = Instant::now();
            let is_there = |slave: &Slave| slave.accepts_calls() || slave.awaited_until(now).is_some();
            let is_giver = |slave: &Slave| is_there(slave) && is_process(slave);
            let process = keep(route, state, |slave| is_giver(slave) && is_identity(slave));
            let identity = process
                .or_else(|route| keep(route, state, |slave| slave.accepts_calls() && is_identity(slave)));
            // After a change of session keys an identity may not be recognized any more.
            identity.or_else(|route| keep(route, state, is_giver)).map_err(|_| Failure::StateLost)
        }
    }
}

/// Returns the failure in the words of what was asked for: a task that no slave has is unknown.
pub(super) fn explain(kind: Option<Kind>, failure: Failure) -> Failure {
    match kind {
        Some(Kind::Task) => Failure::UnknownTask("no slave here has it".into()),
        _ => failure,
    }
}

/// Returns the length of the label that the slave has to remove.
pub(super) fn label_length(state: RequestState) -> usize {
    match state {
        RequestState::Labelled(StateLabel { .. }) => LABEL_LENGTH,
        RequestState::Absent | RequestState::Bare => 0,
    }
}

/// Keeps the slaves that pass; returns the route as it was if there are none.
fn keep(
    route: Route<Slave>,
    state: RequestState,
    passes: impl Fn(&Slave) -> bool,
) -> Result<Route<Slave>, Route<Slave>> {
    let kept = |slaves: &Arc<[Arc<Slave>]>| -> Arc<[Arc<Slave>]> {
        slaves.iter().filter(|slave| passes(slave)).cloned().collect()
    };
    let priorities: Priorities<Slave> =
        route.priorities.iter().map(kept).filter(|slaves| !slaves.is_empty()).collect();
    if priorities.is_empty() {
        return Err(route);
    }
    let keys = priorities.iter().flat_map(|slaves| slaves.iter()).map(|slave| slave.key);
    let number = keys.fold(1_usize, |number, key| number ^ usize::try_from(key >> 1).unwrap_or(usize::MAX));
    Ok(route.narrow(priorities, Narrowed { state, number }))
}
