//! The slaves as calls reach them: directory, registry and wait queue, and the records of how calls end. Must not know
//! clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use policy::{Decision, Policy, Requester};
use protocol::hex::hex;
use protocol::link::header::CallSpot;
use protocol::link::ids::{CallId, InstanceId};
use protocol::mcp::failure::Failure;
use protocol::mcp::kind::Kind;
use protocol::mcp::request_state::RequestState;
use tokio::sync::watch;

use super::awaiting::AwaitingCalls;
use super::candidates::PoolCandidates;
use super::denial;
use super::directory::Directory;
use super::exchange;
use super::open_call::OpenCall;
use super::permission::{self, PoolAccess};
use super::pool::{Pool, PoolParts, PoolSettings};
use super::queue::WaitQueue;
use crate::access::PoolDomain;
use crate::balance::fault::{self, FaultAttribution};
use crate::balance::outliers::OutlierDetector;
use crate::links::{Reach, Registry, Slave};
use crate::routes::Route;
use crate::start_window::StartWindow;

/// Returns whether a slave that links later could take the call that failed so.
pub(super) fn may_still_come(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::NoSlave | Failure::NoSlaveForTool { .. } | Failure::StateLost | Failure::UnknownTask(_)
    ) || failure.is_unknown()
}

/// Shared state of dispatching: directory, registry and wait queue of one proxy.
pub(crate) struct Forwarder {
    pub(super) registry: Arc<Registry>,
    pub(super) directory: ArcSwap<Directory>,
    pub(super) queue: Arc<WaitQueue<PoolCandidates>>,
    pub(super) awaiting: AwaitingCalls,
    /// Time in which slaves that a call needs may still come.
    pub(super) start: StartWindow,
    instance: InstanceId,
    last_call: AtomicU64,
    /// Notified after the directory was rebuilt.
    changes: watch::Sender<()>,
}

impl Forwarder {
    pub(crate) fn new(registry: Arc<Registry>, instance: InstanceId, start: StartWindow) -> Self {
        Self {
            registry,
            directory: ArcSwap::default(),
            queue: WaitQueue::new(),
            awaiting: AwaitingCalls::default(),
            start,
            instance,
            last_call: AtomicU64::new(1),
            changes: watch::Sender::new(()),
        }
    }

    /// Returns the changes of slaves and of what they offer, from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Tells of a change of slaves or of what they offer.
    pub(super) fn on_change(&self) {
        self.changes.send_replace(());
    }

    /// Returns an id that no other call has.
    pub(super) fn next_id(&self) -> CallId {
        CallId::new(self.instance, self.last_call.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns how long a call waits for a lost slave.
    pub(super) fn grace(&self) -> Duration {
        self.registry.limits().grace
    }

    /// Returns the pool of what a request names, by the clients' name; of one that names nothing, by its method.
    /// What the policy hides from the client is not there, in every respect. `client` is asked only where there is a policy.
    pub(super) fn pool<'c>(
        &self,
        kind: Option<Kind>,
        name: &str,
        client: impl Fn() -> Requester<'c>,
    ) -> Result<Arc<Pool>, Failure> {
        let directory = self.directory.load();
        let shows = |pool: &&Arc<Pool>| {
            pool.access.as_ref().is_none_or(|access| access.show(&client(), name).is_shown())
        };
        if let Some(pool) = directory.find(kind, name).filter(shows) {
            return Ok(Arc::clone(pool));
        }
        if !directory.any_slave {
            return Err(Failure::NoSlave);
        }
        if !directory.any_ready {
            return Err(self.slaves_drain());
        }
        let Some(kind) = kind else { return Err(Failure::MethodNotFound(name.to_owned())) };
        let now = Instant::now();
        // A slave that has not sent its catalog yet may offer it, and one that is lost may come back.
        let may_know = || directory.may_know(kind, name, &client);
        if directory.catalogs_due(now).is_some() || (directory.is_withheld(kind, name, now) && may_know()) {
            return Err(Failure::NoSlaveForTool { name: name.to_owned(), wanted: None });
        }
        Err(denial::unknown(Some(kind), directory.explain(kind, name)))
    }

    /// Returns why the policy hides what the client names, if it is there.
    pub(super) fn denial(
        &self,
        kind: Option<Kind>,
        name: &str,
        client: &Requester<'_>,
    ) -> Option<(Arc<Policy>, Decision)> {
        let directory = self.directory.load();
        let access = directory.find(kind, name)?.access.as_ref()?;
        let decision = access.show(client, name);
        (!decision.is_shown()).then(|| (Arc::clone(access.policy()), decision))
    }

    /// Returns the pool of the one slave that gave out what a request brings back.
    ///
    /// # Errors
    /// The slave is not there, or never was.
    pub(super) fn giver(
        &self,
        state: RequestState,
        settings: &PoolSettings<'_>,
    ) -> Result<Arc<Pool>, Failure> {
        let RequestState::Labelled(label) = state else {
            return Err(Failure::InvalidRequest("no request of a server waits for this response".into()));
        };
        let fleet = self.registry.fleet();
        let gave = |slave: &&Arc<Slave>| {
            slave.state_process() == Some(label.process)
                && fleet.is_of_identity(label, &slave.state_identity())
        };
        let slaves = self.registry.all();
        let slave = slaves.iter().find(gave).ok_or(Failure::StateLost)?;
        let grant = slave.grant();
        let members = vec![Arc::clone(slave)];
        let parts = PoolParts {
            kind: None,
            method: "reply",
            own_name: "",
            shown_name: "",
            domain: &PoolDomain::Own(grant.identity().domain()),
            schema: None,
            access: settings.policy.map(|policy| PoolAccess::of_slaves(policy, &members)),
            members,
            outliers: Arc::new(OutlierDetector::new(settings.policies.ejection)),
            max_retries: 0,
        };
        Ok(Arc::new(Pool::new(parts, settings)))
    }

    /// Returns until when a call that failed so may wait, since a slave or the catalog of a slave is expected that could bring its tool;
    /// `None`: it does not wait.
    pub(super) fn waits_until(&self, failure: &Failure, now: Instant) -> Option<Instant> {
        if !may_still_come(failure) {
            return None;
        }
        let catalogs = self.directory.load().catalogs_due(now);
        self.start.end(now).into_iter().chain(catalogs.filter(|_| *failure != Failure::NoSlave)).max()
    }

    /// Returns whether a slave of these is linked while catalogs are on their way: it may not have told yet what it offers.
    pub(super) fn awaits_catalog(&self, now: Instant, concerns: impl Fn(&Arc<Slave>) -> bool) -> bool {
        self.directory.load().catalogs_due(now).is_some() && self.registry.all().iter().any(concerns)
    }

    /// Returns the pool of now for a call of this tool that was of the pool `before`. Never another provider's, to which the name
    /// may belong by now.
    pub(super) fn successor(&self, tool: &str, before: &Pool) -> Result<Arc<Pool>, Failure> {
        if let Some(pool) = self.directory.load().successor(tool, before) {
            return Ok(Arc::clone(pool));
        }
        // Where there is one, it is another provider's.
        let directory = self.directory.load();
        if !directory.any_slave {
            return Err(Failure::NoSlave);
        }
        if !directory.any_ready {
            return Err(self.slaves_drain());
        }
        let now = Instant::now();
        let is_expected =
            |kind| directory.catalogs_due(now).is_some() || directory.is_withheld(kind, tool, now);
        if directory.find(before.kind, tool).is_none() && !before.kind.is_some_and(is_expected) {
            return Err(denial::unknown(before.kind, tool.to_owned()));
        }
        Err(Failure::NoSlaveForTool { name: tool.to_owned(), wanted: None })
    }

    /// Returns where a call of this tool, pool and route may go now; `None` if no slave of its provider offers the tool.
    pub(super) fn candidates(
        &self,
        tool: &str,
        before: &Pool,
        route: &Route<Slave>,
    ) -> Option<PoolCandidates> {
        let pool = self.successor(tool, before).ok()?;
        let route = self.reroute(&pool, tool, route).ok()?;
        Some(PoolCandidates { registry: Arc::clone(&self.registry), pool, route })
    }

    /// Returns the route of now for a call that had this one.
    ///
    /// # Errors
    /// No slave may take the call. What the policy says of it may have to be asked anew.
    pub(super) fn reroute(
        &self,
        pool: &Pool,
        tool: &str,
        before: &Route<Slave>,
    ) -> Result<Route<Slave>, Failure> {
        let route = exchange::narrow(pool.routes.reroute(before), before.state(), self.registry.fleet())?;
        let route = route.cleared(before.clearance().cloned());
        permission::narrow(pool.access.as_ref(), tool, route)
            .ok_or_else(|| Failure::NoSlaveForTool { name: tool.to_owned(), wanted: None })
    }

    /// Returns whether the policy of now still lets a waiting call of this tool, pool and route go to the slave.
    pub(super) fn still_allows(
        &self,
        tool: &str,
        before: &Pool,
        route: &Route<Slave>,
        slave: &Slave,
    ) -> bool {
        if before.access.is_none() {
            return true;
        }
        let now = self.candidates(tool, before, route);
        now.is_some_and(|now| now.route.slaves().any(|allowed| allowed.key == slave.key))
    }

    /// Returns the detector of slaves that fail by a fault of the slave itself.
    fn outliers(&self) -> &OutlierDetector {
        &self.registry.outliers
    }

    /// Returns the failure of a call that no slave can take.
    pub(super) fn no_slave(&self, tool: &str, route: &Route<Slave>) -> Failure {
        match self.registry.reach() {
            Reach::NoSlave => return Failure::NoSlave,
            Reach::Draining => return self.slaves_drain(),
            Reach::Ready => {}
        }
        Failure::NoSlaveForTool { name: tool.to_owned(), wanted: route.describe() }
    }

    /// Returns the failure of a call while all slaves drain.
    fn slaves_drain(&self) -> Failure {
        Failure::SlavesDraining { by_operator: self.registry.has_held_slave() }
    }

    /// Returns whether a client may read a resource at a slave.
    pub(super) fn may_read(&self, client: &Requester<'_>, uri: &str, slave: &Slave) -> bool {
        self.directory.load().policy().is_none_or(|policy| permission::may_read(policy, client, uri, slave))
    }

    /// Returns whether a client may use what it names at a slave, whatever the arguments. A task without an id stands for anything there.
    pub(super) fn may_use<'c>(
        &self,
        client: impl Fn() -> Requester<'c>,
        kind: Kind,
        name: &str,
        slave: &Slave,
    ) -> bool {
        let directory = self.directory.load();
        let Some(policy) = directory.policy() else { return true };
        let (client, pool) = (client(), directory.find(Some(kind), name));
        if kind == Kind::Task && !name.is_empty() {
            let access = pool.and_then(|pool| pool.access.as_ref());
            return access.is_some_and(|access| access.may_use_task(&client, name, slave));
        }
        match pool.and_then(|pool| pool.access.as_ref()?.rules_at(slave)) {
            Some((kind, rules)) => {
                policy.decide(Some(kind), &policy.client_rules(&client), rules, None).is_shown()
            }
            None => permission::may_use(policy, &client, kind, name, slave),
        }
    }

    /// Notes where a call runs, for a client that may come back to it.
    pub(super) fn note_place(&self, call: &OpenCall, slave: &Arc<Slave>) {
        let Some(place) = &call.place else { return };
        let (registry, slave, id) = (Arc::clone(&self.registry), Arc::clone(slave), call.id);
        place.set(move || {
            // Slaves of the plain dialect keep nothing.
            let label = registry.fleet().label_of(slave.state_process()?, &slave.state_identity())?;
            Some(CallSpot { label: Some(label.to_string()), call: hex(&id.0.to_be_bytes()) })
        });
    }

    /// Records that a call of the pool was sent to the slave, which uses up a trial call of a slave that was ejected.
    pub(super) fn record_sent(&self, slave: &Slave, pool: Option<&Pool>, now: Instant) {
        self.outliers().record_sent(slave.host_slot(), now);
        if let Some(pool) = pool {
            pool.outliers.record_sent(slave.host_slot(), now);
        }
    }

    /// Records the end of a call at a slave.
    pub(super) fn record_end(&self, attribution: FaultAttribution, tool: &str, pool: &Pool, slave: &Slave) {
        let may_eject = || self.outliers().may_eject() || pool.outliers.may_eject();
        let before = may_eject();
        fault::record(attribution, tool, &pool.outliers, slave);
        self.registry.record_outcome(slave, attribution.slave_outcome());
        // An ejection began or ended; the call's permit was freed before that was known.
        if before || may_eject() {
            self.queue.dispatch_permits(slave.key);
        }
    }
}
