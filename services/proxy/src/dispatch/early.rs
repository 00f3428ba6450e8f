//! Calls that came before a slave that offers their tool, or that gave out what they bring back, in the start window or before a slave's
//! first catalog: they wait for it. Must not know HTTP and links.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::calls::{CallContext, HeaderMap};
use front::{Credential, Principal};
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;
use protocol::mcp::request_state::RequestState;

use super::exchange;
use super::forwarder::Forwarder;
use super::pool::Pool;
use super::queue::CallName;
use crate::links::Slave;

/// Time between two looks at the directory.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The origin of a call, kept while the call waits.
pub(super) struct KeptContext {
    principal: Principal,
    credential: Credential,
    headers: HeaderMap,
    peer: Option<IpAddr>,
}

impl KeptContext {
    pub(super) fn of(context: &CallContext<'_>) -> Self {
        Self {
            principal: context.principal,
            credential: context.credential.clone(),
            headers: context.headers.clone(),
            peer: context.peer,
        }
    }

    pub(super) fn context(&self) -> CallContext<'_> {
        CallContext {
            principal: self.principal,
            credential: &self.credential,
            headers: &self.headers,
            peer: self.peer,
        }
    }
}

/// Checks that a slave of the pool may go on with the exchange, whatever the routes say. While the slave that gave the state out may
/// still come, no other one may: none has what that one knows.
///
/// # Errors
/// No slave may, as long as no other slave links.
pub(super) fn check_giver(pool: &Pool, state: RequestState, forwarder: &Forwarder) -> Result<(), Failure> {
    let RequestState::Labelled(label) = state else { return Ok(()) };
    let (fleet, now) = (forwarder.registry.fleet(), Instant::now());
    let is_process = |slave: &Arc<Slave>| slave.state_process() == Some(label.process);
    let is_there = |slave: &Slave| slave.accepts_calls() || slave.awaited_until(now).is_some();
    if pool.members.iter().any(|slave| is_process(slave) && is_there(slave)) {
        return Ok(());
    }
    let is_of_identity =
        |slave: &Arc<Slave>| slave.accepts_calls() && fleet.is_of_identity(label, &slave.state_identity());
    let is_expected =
        forwarder.start.end(now).is_some() || forwarder.awaits_catalog(now, |slave| is_process(slave));
    if !is_expected && pool.members.iter().any(is_of_identity) {
        return Ok(());
    }
    Err(exchange::explain(pool.kind, Failure::StateLost))
}

/// A wait for the first slave that could take a call.
pub(super) struct EarlyWait {
    name: Option<CallName>,
    began: Instant,
    until: Instant,
}

impl EarlyWait {
    /// A wait from `began` on, and at most until `until`. The header still has the session and the request id.
    pub(super) fn new(header: &CallHeader, began: Instant, until: Instant) -> Self {
        let name = header.session.clone().zip(header.request_id.clone());
        let name = name.map(|(session, request_id)| CallName { session, request_id });
        Self { name, began, until }
    }

    /// Returns the pool of the call once `find` finds it. Cancel safe.
    pub(super) async fn pool(
        &self,
        forwarder: &Forwarder,
        find: impl Fn() -> Result<Arc<Pool>, Failure>,
    ) -> Result<Arc<Pool>, Failure> {
        loop {
            let next = (Instant::now() + LOOK_INTERVAL).min(self.until);
            tokio::time::sleep_until(next.into()).await;
            if self.name.as_ref().is_some_and(|name| forwarder.queue.was_cancelled(name, self.began)) {
                return Err(Failure::Cancelled);
            }
            // Of the time before it: the last look is one after the wait.
            let now = Instant::now();
            match find() {
                Err(failure) if now < self.until && forwarder.waits_until(&failure, now).is_some() => {}
                found => return found,
            }
        }
    }
}
