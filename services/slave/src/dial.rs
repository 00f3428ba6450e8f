//! Keeps a link to every proxy behind `PROXY_SERVER_URL`: resolves names, dials, runs links until they end, and dials
//! again. [`plan`] decides when and where to dial; [`Links`] contains the parts that all links share. Must not know
//! frames.

mod audit;
mod backoff;
mod connect;
mod plan;
mod shared;
mod target;
mod urgency;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::config::{LinkConfig, ProxyUrl};
use crate::endpoint::{PeerDiscovery, Stage};
use crate::link::{Authenticated, DisconnectReason, Links};
use crate::metrics;
use crate::trace::LinkStart;
use connect::Connector;
pub use connect::DialError;
use plan::{EndedLink, Goal, Plan, Step, Timing};
use shared::{Shared, Unresolved};
use target::Target;

/// The task that keeps a link to every proxy.
pub(crate) struct Dialer {
    shared: Arc<Shared>,
    plan: Plan,
    /// Number of links to proxies that shut down, at the last check.
    draining: usize,
    /// The reason for the end of a target's last link, until the target has a new one.
    lost: BTreeMap<Target, &'static str>,
    /// Generation of the code that opens links, at the last check.
    code_generation: u64,
}

/// Largest number of targets whose lost link is remembered.
const MAX_LOST: usize = 256;

/// The result of a task of the dialer.
enum Done {
    Resolved(usize, Result<BTreeSet<SocketAddr>, Unresolved>),
    Dialed { target: Target, goal: Goal, result: Box<Result<Authenticated, DisconnectReason>> },
    LinkEnded { target: Target, reason: DisconnectReason, duration: Duration },
}

impl Dialer {
    /// Creates a dialer. `max_message` is the longest message, in bytes, that is read from or written to a proxy of the
    /// plain dialect.
    pub(crate) fn new(links: Arc<Links>, config: &LinkConfig, max_message: usize) -> Result<Self, DialError> {
        let connector =
            |url: &ProxyUrl| Connector::new(url.clone(), url.way(&config.ways), &config.tls, max_message);
        let connectors = config.proxies.iter().map(connector).collect::<Result<Vec<_>, _>>()?;
        let timing = Timing { reconnect_max: config.reconnect_max, resolve: config.resolve_interval, random };
        let plan = Plan::new(connectors.len(), timing, Instant::now());
        Ok(Self {
            shared: Arc::new(Shared::new(links, connectors)),
            plan,
            draining: 0,
            code_generation: 0,
            lost: BTreeMap::new(),
        })
    }

    /// Runs until links are to close, or the slave drains and nothing is left to deliver. Dropping the future drops the
    /// connections of all links.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let endpoint = &shared.links().endpoint;
        let (mut tasks, mut discovery) = (JoinSet::new(), endpoint.discovery());
        loop {
            let stage = endpoint.stage();
            let now = Instant::now();
            if stage >= Stage::Drained && tasks.is_empty() {
                return;
            }
            let seen = *discovery.borrow_and_update();
            self.on_discovery(seen, now);
            // A draining slave keeps its links and opens no others.
            let seen = if stage == Stage::Serving { seen } else { PeerDiscovery::default() };
            while stage < Stage::Drained
                && let Some(step) = self.plan.poll(now, seen)
            {
                self.begin(step, &mut tasks);
            }
            let due = async {
                match self.plan.timeout() {
                    Some(at) if stage < Stage::Drained => tokio::time::sleep_until(at.into()).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = tasks.join_next() => match done {
                    Ok(done) => self.on_done(done, &mut tasks),
                    Err(error) => tracing::error!("A link's task failed: {error}"),
                },
                () = due => {}
                Ok(()) = discovery.changed() => {}
                () = endpoint.reached(Stage::Drained), if stage < Stage::Drained => {}
            }
        }
    }

    /// Dials at once when one more proxy shuts down, and tries a changed code wherever the previous code was refused.
    fn on_discovery(&mut self, seen: PeerDiscovery, now: Instant) {
        if seen.draining > self.draining {
            self.plan.expedite(now);
        }
        self.draining = seen.draining;
        if seen.code_generation > self.code_generation {
            self.plan.code_changed(now);
            self.code_generation = seen.code_generation;
        }
    }

    fn begin(&self, step: Step, tasks: &mut JoinSet<Done>) {
        let shared = Arc::clone(&self.shared);
        match step {
            Step::Resolve(url) => {
                tasks.spawn(async move { Done::Resolved(url, shared.resolve(url).await) });
            }
            Step::Dial(target, goal) => {
                let (url, address) = (shared.url(target), target.address);
                match goal {
                    Goal::Maintain => {
                        let way = shared.connector(target.url).way();
                        tracing::info!(%address, "Connecting to proxy server at {url}{way}");
                    }
                    Goal::Discover => tracing::debug!(%address, "Looking for other proxies at {url}"),
                }
                tasks.spawn(async move {
                    let code_generation = shared.code_generation();
                    let url = shared.url(target);
                    let start = LinkStart::start(url.host(), url.port(), target.address);
                    let result = shared.dial(target).await;
                    let result = result.map_err(|reason| shared.reinterpret(code_generation, reason));
                    start.end(result.as_ref().map(Authenticated::dialect).map_err(DisconnectReason::kind));
                    Done::Dialed { target, goal, result: Box::new(result) }
                });
            }
        }
    }

    fn on_done(&mut self, done: Done, tasks: &mut JoinSet<Done>) {
        let now = Instant::now();
        match done {
            Done::Resolved(url, Ok(addresses)) => self.plan.resolved(url, &addresses, now),
            Done::Resolved(url, Err(error)) => self.on_unresolved(url, &error, now),
            Done::Dialed { target, goal, result } => match *result {
                Ok(link) => self.on_linked(target, goal, link, tasks),
                Err(reason) => self.on_failed(target, goal, &reason, now),
            },
            Done::LinkEnded { target, reason, duration } => {
                let in_use = self.shared.links().endpoint.was_in_use(now);
                self.on_ended(target, &EndedLink { reason, duration, in_use }, now);
            }
        }
    }

    fn on_linked(&mut self, target: Target, goal: Goal, link: Authenticated, tasks: &mut JoinSet<Done>) {
        metrics::record_dial("linked");
        audit::linked(self.shared.url(target), target.address);
        if let Some(reason) = self.lost.remove(&target) {
            metrics::record_reconnect(reason);
        }
        let since = Instant::now();
        self.plan.linked(target, goal, link.is_alone(), since);
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            let code_generation = link.code_generation();
            let reason = shared.reinterpret(code_generation, shared.run_link(target, link).await);
            Done::LinkEnded { target, reason, duration: since.elapsed() }
        });
    }

    fn on_failed(&mut self, target: Target, goal: Goal, reason: &DisconnectReason, now: Instant) {
        metrics::record_link_end(reason.kind());
        let outcome = match reason {
            DisconnectReason::AlreadyLinked => "already_linked",
            DisconnectReason::Refused(_) => "refused",
            _ => "failed",
        };
        metrics::record_dial(outcome);
        audit::failed(self.shared.url(target), target.address, outcome, reason);
        let served = self.plan.is_served(target.url);
        let wait = self.plan.failed(target, goal, reason, now);
        if *reason == DisconnectReason::AlreadyLinked
            || (served && !matches!(reason, DisconnectReason::Refused(_)))
        {
            let address = target.address;
            return tracing::debug!(%address, "No further link: {reason}");
        }
        report(reason, wait);
        self.shared.set_status(reason);
    }

    fn on_ended(&mut self, target: Target, link: &EndedLink, now: Instant) {
        let EndedLink { reason, duration, .. } = link;
        metrics::record_link_end(reason.kind());
        audit::closed(self.shared.url(target), target.address, reason, *duration);
        if self.lost.len() < MAX_LOST {
            self.lost.insert(target, reason.kind());
        }
        let wait = self.plan.ended(target, link, now);
        if *reason == DisconnectReason::Renewed {
            return tracing::info!(address = %target.address, "Link renewed with the changed code");
        }
        if *reason != DisconnectReason::Closing {
            report(reason, Some(wait));
        }
        self.shared.set_status(reason);
    }

    fn on_unresolved(&mut self, url: usize, error: &Unresolved, now: Instant) {
        let wait = self.plan.unresolved(url, now);
        let proxy = self.shared.connector(url).url();
        let reason = DisconnectReason::Lost(error.0.clone());
        if self.plan.is_served(url) {
            tracing::debug!("{reason}");
        } else {
            tracing::info!("Connecting to proxy server at {proxy}");
            report(&reason, Some(wait));
            self.shared.set_status(&reason);
        }
    }
}

fn random() -> u64 {
    // Without a random source, the middle of the range is used.
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// Logs the documented phrase with the wait, and what to check.
fn report(reason: &DisconnectReason, wait: Option<Duration>) {
    let seconds = wait.unwrap_or_default().as_secs_f64();
    let next = format!("Connection to proxy closed, attempting to reconnect in {seconds:.1} s");
    match reason {
        DisconnectReason::Refused(why) => tracing::error!(
            "{next}: the proxy does not accept SLAVE_CODE ({why}). Check that it (or what SLAVE_CODE_FILE says) is one \
             of the codes in the proxy's SLAVE_CODES, without extra whitespace; upper and lower case differ"
        ),
        DisconnectReason::Replaced => tracing::warn!(
            "{next}: another slave took this one's place (SLAVE_MODE=single on the proxy, or a second slave with the \
             same instance)"
        ),
        DisconnectReason::Lost(why) | DisconnectReason::ProtocolError(why) => tracing::warn!("{next}: {why}"),
        DisconnectReason::Closing | DisconnectReason::AlreadyLinked | DisconnectReason::Renewed => {
            tracing::info!("{next}");
        }
        DisconnectReason::Busy(_) | DisconnectReason::GoingDown => tracing::warn!("{next}: {reason}"),
    }
}
