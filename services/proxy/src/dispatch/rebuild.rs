//! Rebuilding of directory, rate limits and queues when slaves, catalogs or routes have changed. Must not know calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use front::calls::Listing;
use policy::{Policy, PolicyStore};
use protocol::mcp::failure::Failure;
use protocol::mcp::request_state::RequestState;
use tokio::sync::watch;

use super::conflicts;
use super::directory::Directory;
use super::forwarder::Forwarder;
use super::policies::Policies;
use super::pool::{Pool, PoolSettings};
use crate::access::CodeStore;
use crate::balance::CapacityListener;
use crate::limits::rate_limiter::RateLimiter;
use crate::limits::table::RateLimits;
use crate::links::Slave;
use crate::routes::{Labelled, Routes};

/// Pause after a rebuild, as a multiple of the time that it took. With thousands of slaves that come back together the
/// directory would otherwise be rebuilt without a pause.
const REBUILD_BACKOFF: u32 = 4;

/// Longest pause after a rebuild.
const MAX_REBUILD_BACKOFF: Duration = Duration::from_millis(250);

/// The settings in force, and the list of tools for clients.
pub(crate) struct ActiveSettings {
    pub(super) policies: Policies,
    codes: Arc<CodeStore>,
    pub(super) routes: ArcSwap<Routes>,
    pub(super) limits: ArcSwap<RateLimits>,
    pub(super) listing: watch::Sender<Arc<Listing>>,
    /// `POLICY`.
    policy: Option<PolicyStore>,
}

impl ActiveSettings {
    pub(crate) fn new(policies: Policies, codes: Arc<CodeStore>, policy: Option<PolicyStore>) -> Self {
        let limits = RateLimits::new(&Routes::default(), &policies.balance, &RateLimits::default());
        Self {
            policies,
            codes,
            routes: ArcSwap::default(),
            limits: ArcSwap::from_pointee(limits),
            listing: watch::Sender::default(),
            policy,
        }
    }

    /// Rebuilds after each change; changes that come together are one rebuild. Never returns.
    pub(super) async fn follow_changes(&self, forwarder: &Forwarder) {
        loop {
            forwarder.registry.changed.notified().await;
            let began = Instant::now();
            self.rebuild(forwarder);
            tokio::time::sleep((began.elapsed() * REBUILD_BACKOFF).min(MAX_REBUILD_BACKOFF)).await;
        }
    }

    fn rebuild(&self, forwarder: &Forwarder) {
        let before = forwarder.directory.load();
        let routes = self.routes.load_full();
        let slaves = forwarder.registry.all();
        let limits = Arc::new(RateLimits::new(&routes, &self.policies.balance, &self.limits.load()));
        let listener: Arc<dyn CapacityListener> = Arc::clone(&forwarder.queue) as _;
        for slave in &slaves {
            slave.active.subscribe(&listener);
            self.limit_slave(slave, &routes);
        }
        let (codes, policy) = (self.codes.current(), self.policy());
        let settings = PoolSettings {
            precedence: codes.precedence(),
            routes: &routes,
            policies: &self.policies,
            limits: &limits,
            policy: policy.as_ref(),
        };
        let (mut directory, listing) = Directory::build(&slaves, &settings, &before);
        directory.withhold(&before, forwarder.grace(), Instant::now());
        self.limits.store(limits);
        conflicts::report(&directory, &before);
        forwarder.directory.store(Arc::new(directory));
        forwarder.queue.refresh(|tool, known| forwarder.candidates(tool, &known.pool, &known.route));
        forwarder.on_change();
        self.listing.send_if_modified(|old| Listing::replace(old, listing));
    }

    /// Returns the policy in force.
    fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.as_ref().map(PolicyStore::current)
    }

    /// Returns the pool of the one slave that gave out what a request brings back. Rules of routes and limits are not asked.
    pub(super) fn giver(&self, forwarder: &Forwarder, state: RequestState) -> Result<Arc<Pool>, Failure> {
        let (codes, policy) = (self.codes.current(), self.policy());
        let settings = PoolSettings {
            precedence: codes.precedence(),
            routes: &Routes::default(),
            policies: &self.policies,
            limits: &self.limits.load(),
            policy: policy.as_ref(),
        };
        forwarder.giver(state, &settings)
    }

    /// Replaces the rate limit of a slave, unless its rate is unchanged: then what is used of it is kept.
    fn limit_slave(&self, slave: &Slave, routes: &Routes) {
        let own = slave.with_labels(|labels| routes.limits.of_slave(&slave.name, labels));
        let rate = own.or(self.policies.balance.slave);
        if slave.active.rate_limit().map(|limiter| limiter.rate()) != rate {
            slave.active.set_rate_limit(rate.map(|rate| Arc::new(RateLimiter::new(rate))));
        }
    }
}
