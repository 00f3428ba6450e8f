//! The schedule of the dialer: when to resolve names, and which target to dial next. Must not know sockets: time,
//! random numbers and results are arguments.
//!
//! Every address of a name is a [`Target`]. A target without a link is dialed, with backoff. Where proxies are missing
//! because a load balancer hides them behind one address, targets that have a link are dialed again, one at a time.
//! This is called discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use super::target::{Target, TargetEntry, TargetState};
use crate::endpoint::PeerDiscovery;
use crate::link::DisconnectReason;

/// Largest number of addresses that are dialed; more than any deployment has proxies.
const MAX_TARGETS: usize = 256;

/// First wait of the discovery while proxies are known to be missing; the longest is `RECONNECT_MAX`, as for a lost link.
const DISCOVERY_BACKOFF: Duration = Duration::from_millis(500);

/// Time after a lost link in which the discovery does not slow down: its proxy waits for about that long (`LINK_GRACE`), and behind a
/// load balancer it takes several attempts to reach that one again.
const SEARCH_TIME: Duration = Duration::from_secs(15);

/// Longest wait of the discovery in that time.
const MAX_SEARCH_BACKOFF: Duration = Duration::from_secs(1);

/// First wait of the discovery while no proxy is known to be missing; it finds proxies that no other proxy knows yet.
const IDLE_DISCOVERY_BACKOFF: Duration = Duration::from_secs(2);

/// Longest wait of the discovery while no proxy is known to be missing.
const MAX_IDLE_DISCOVERY_BACKOFF: Duration = Duration::from_mins(5);

/// Time after a lost link within which its name is resolved again.
const REDIAL_DELAY: Duration = Duration::from_millis(500);

/// The purpose of dialing a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The target has no link.
    Maintain,
    /// The target may lead to another proxy this time.
    Discover,
}

/// The next action of the dialer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Resolve the host of this URL; then [`Plan::resolved`].
    Resolve(usize),
    /// Dial; then [`Plan::linked`] or [`Plan::failed`].
    Dial(Target, Goal),
}

/// A link that ended.
#[derive(Debug)]
pub(super) struct EndedLink {
    pub(super) reason: DisconnectReason,
    /// Time for which it was up.
    pub(super) duration: Duration,
    /// Whether the slave had calls at that time, or a short time before.
    pub(super) in_use: bool,
}

/// The configured times, and the random source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// `RECONNECT_MAX`: cap of the backoff.
    pub(super) reconnect_max: Duration,
    /// `PROXY_RESOLVE_INTERVAL`: time between two resolutions.
    pub(super) resolve: Duration,
    /// The random source, uniform over all of `u64`.
    pub(super) random: fn() -> u64,
}

/// A host of `PROXY_SERVER_URL`.
struct Name {
    resolving: bool,
    at: Instant,
    backoff: Backoff,
    /// Whether a link of this name leads to a proxy that cannot tell a second link of this slave from another slave, so
    /// that there must be no other.
    alone: bool,
    /// Whether a proxy of this name goes down, and no link has been opened since: its successor's address may not be known yet.
    urgent: bool,
}

/// The state of the discovery, which dials linked targets to find more proxies behind the same address.
struct Discovery {
    under_way: bool,
    at: Option<Instant>,
    /// Waits in [`SEARCH_TIME`].
    search: Backoff,
    search_ends: Option<Instant>,
    quick: Backoff,
    idle: Backoff,
    last: Option<Target>,
    missing: bool,
}

/// The schedule of all names and targets.
pub(super) struct Plan {
    timing: Timing,
    names: Vec<Name>,
    targets: BTreeMap<Target, TargetEntry>,
    discovery: Discovery,
}

impl Plan {
    /// Creates a plan for `urls` URLs, all of which are to be resolved at once.
    pub(super) fn new(urls: usize, timing: Timing, now: Instant) -> Self {
        let name = || Name {
            resolving: false,
            at: now,
            backoff: Backoff::new(REDIAL_DELAY, timing.reconnect_max),
            alone: false,
            urgent: false,
        };
        let discovery = Discovery {
            under_way: false,
            at: None,
            search: Backoff::new(DISCOVERY_BACKOFF, MAX_SEARCH_BACKOFF.min(timing.reconnect_max)),
            search_ends: None,
            quick: Backoff::new(DISCOVERY_BACKOFF, timing.reconnect_max),
            idle: Backoff::new(IDLE_DISCOVERY_BACKOFF, MAX_IDLE_DISCOVERY_BACKOFF),
            last: None,
            missing: false,
        };
        Self { timing, names: (0..urls).map(|_| name()).collect(), targets: BTreeMap::new(), discovery }
    }

    /// Returns the next step that is due now; to be called until it returns `None`.
    pub(super) fn poll(&mut self, now: Instant, peers: PeerDiscovery) -> Option<Step> {
        if let Some(index) = self.names.iter().position(|name| !name.resolving && name.at <= now) {
            self.names[index].resolving = true;
            return Some(Step::Resolve(index));
        }
        let names = &self.names;
        let is_due = |(target, entry): &(&Target, &mut TargetEntry)| {
            due(names, **target, entry).is_some_and(|at| at <= now)
        };
        if let Some((target, entry)) = self.targets.iter_mut().find(is_due) {
            entry.state = TargetState::Dialing;
            return Some(Step::Dial(*target, Goal::Maintain));
        }
        self.discovery_at(now, peers).filter(|at| *at <= now)?;
        let Some(target) = self.candidate() else {
            self.discovery.at = Some(now + self.discovery.idle.next((self.timing.random)()));
            return None;
        };
        self.discovery.under_way = true;
        self.discovery.last = Some(target);
        Some(Step::Dial(target, Goal::Discover))
    }

    /// Returns the time at which the next step becomes due unless another method is called before. To be called after
    /// [`Self::poll`] returned `None`.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let names = self.names.iter().filter(|name| !name.resolving).map(|name| name.at);
        let targets = self.targets.iter().filter_map(|(target, entry)| due(&self.names, *target, entry));
        let discovery = self.discovery.at.filter(|_| !self.discovery.under_way);
        names.chain(targets).chain(discovery).min()
    }

    /// Returns the time of the next discovery; `None`: there is nothing to discover, or an attempt is under way.
    fn discovery_at(&mut self, now: Instant, peers: PeerDiscovery) -> Option<Instant> {
        if peers.searchable == 0 {
            self.discovery.at = None;
            return None;
        }
        if self.discovery.at.is_none() || peers.missing != self.discovery.missing {
            self.discovery.missing = peers.missing;
            self.discovery.quick.reset();
            self.schedule_discovery(now);
        }
        self.discovery.at.filter(|_| !self.discovery.under_way)
    }

    fn schedule_discovery(&mut self, now: Instant) {
        let Discovery { search, search_ends, quick, idle, missing, .. } = &mut self.discovery;
        let backoff = match (*missing, search_ends.is_some_and(|end| now < end)) {
            (true, true) => search,
            (true, false) => quick,
            (false, _) => idle,
        };
        self.discovery.at = Some(now + backoff.next((self.timing.random)()));
    }

    /// Returns the next target that leads to a proxy, in rotation.
    fn candidate(&self) -> Option<Target> {
        let fits = |(target, entry): &(&Target, &TargetEntry)| {
            entry.listed
                && (entry.links > 0 || entry.state == TargetState::Covered)
                && !self.names[target.url].alone
        };
        let after = self
            .targets
            .iter()
            .filter(fits)
            .find(|(target, _)| self.discovery.last.is_none_or(|last| **target > last));
        after.or_else(|| self.targets.iter().find(fits)).map(|(target, _)| *target)
    }

    /// Records the present addresses of a name. Until a link is opened it is resolved again soon: the address of a proxy that has
    /// just started may come late.
    pub(super) fn resolved(&mut self, url: usize, addresses: &BTreeSet<SocketAddr>, now: Instant) {
        let jitter = 0.75 + 0.5 * ((self.timing.random)() as f64 / u64::MAX as f64);
        let served = self.is_served(url);
        let name = &mut self.names[url];
        let mut wait = self.timing.resolve.mul_f64(jitter);
        if served && !name.urgent {
            name.backoff.reset();
        } else {
            wait = wait.min(name.backoff.next((self.timing.random)()));
        }
        (name.resolving, name.at) = (false, now + wait);
        for (target, entry) in self.targets.iter_mut().filter(|(target, _)| target.url == url) {
            entry.listed = addresses.contains(&target.address);
        }
        for address in addresses {
            let target = Target { url, address: *address };
            if self.targets.len() < MAX_TARGETS || self.targets.contains_key(&target) {
                self.targets
                    .entry(target)
                    .or_insert_with(|| TargetEntry::new(self.timing.reconnect_max, now));
            }
        }
        self.prune();
    }

    /// Records that a name could not be resolved; its addresses stay. Returns the time until the next attempt.
    pub(super) fn unresolved(&mut self, url: usize, now: Instant) -> Duration {
        let name = &mut self.names[url];
        let wait = name.backoff.next((self.timing.random)());
        (name.resolving, name.at) = (false, now + wait);
        wait
    }

    /// Returns whether any address of this URL has a link.
    pub(super) fn is_served(&self, url: usize) -> bool {
        self.targets.iter().any(|(target, entry)| target.url == url && entry.links > 0)
    }

    /// Records a new link. `alone`: the proxy does not know other proxies, as in [`Name::alone`].
    pub(super) fn linked(&mut self, target: Target, goal: Goal, alone: bool, now: Instant) {
        let name = &mut self.names[target.url];
        name.alone |= alone;
        name.urgent = false;
        if let Some(entry) = self.targets.get_mut(&target) {
            entry.links += 1;
            (entry.state, entry.proven, entry.unwanted) = (TargetState::Due(now), true, false);
        }
        self.discovery.under_way &= goal == Goal::Maintain;
        self.discovery.quick.reset();
        self.discovery.idle.reset();
        self.schedule_discovery(now);
    }

    /// Records a failed attempt. Returns the time until the target is dialed again; `None`: not until something changes.
    pub(super) fn failed(
        &mut self,
        target: Target,
        goal: Goal,
        reason: &DisconnectReason,
        now: Instant,
    ) -> Option<Duration> {
        if goal == Goal::Discover {
            self.discovery.under_way = false;
            self.schedule_discovery(now);
            if let (DisconnectReason::Busy(least), Some(at)) = (reason, self.discovery.at) {
                self.discovery.at = Some(at + *least);
            }
            return None;
        }
        let served = self.is_served(target.url);
        let entry = self.targets.get_mut(&target)?;
        if *reason == DisconnectReason::AlreadyLinked {
            (entry.state, entry.proven) = (TargetState::Covered, true);
            return None;
        }
        let mut wait = entry.backoff.after(reason);
        if served && !entry.proven {
            wait = entry.unproven.next((self.timing.random)());
        }
        wait = entry.urgency.wait(wait, reason, (self.timing.random)(), now);
        entry.wait(reason, now + wait);
        self.prune();
        Some(wait)
    }

    /// Records the end of a link that was up. Returns the time until its target is dialed again.
    pub(super) fn ended(&mut self, target: Target, link: &EndedLink, now: Instant) -> Duration {
        let EndedLink { reason, duration, in_use } = link;
        let name = &mut self.names[target.url];
        (name.alone, name.urgent) = (false, false);
        let soon = Duration::from_nanos(
            (self.timing.random)() % u64::try_from(REDIAL_DELAY.as_nanos()).unwrap_or(1),
        );
        name.at = name.at.min(now + soon);
        let mut wait = Duration::ZERO;
        for (other, entry) in &mut self.targets {
            if *other == target {
                entry.links = entry.links.saturating_sub(1);
                entry.backoff.on_link_end(*duration);
                entry.urgency.on_link_end(*in_use, now);
                wait = entry.backoff.after(reason);
                entry.wait(reason, now + wait);
            } else if entry.state == TargetState::Covered {
                let wait = entry.backoff.after(reason);
                entry.wait(reason, now + wait);
            }
        }
        self.discovery.search_ends = Some(now + SEARCH_TIME);
        self.discovery.search.reset();
        self.discovery.quick.reset();
        self.discovery.idle.reset();
        self.schedule_discovery(now);
        self.prune();
        wait
    }

    /// Makes waiting targets due as soon as possible: a proxy shuts down, and other links are needed before its link
    /// ends.
    pub(super) fn expedite(&mut self, now: Instant) {
        for name in &mut self.names {
            (name.at, name.urgent) = (now, true);
            name.backoff.reset();
        }
        for entry in self.targets.values_mut().filter(|entry| !entry.unwanted) {
            if let TargetState::Due(at) = &mut entry.state {
                *at = now.min(*at);
            }
        }
        self.discovery.quick.reset();
        self.discovery.at = Some(now);
    }

    /// Makes the targets that refused the previous code due at once, as the changed code may be accepted.
    pub(super) fn code_changed(&mut self, now: Instant) {
        for entry in self.targets.values_mut().filter(|entry| entry.unwanted) {
            if let TargetState::Due(at) = &mut entry.state {
                *at = now.min(*at);
            }
        }
        self.discovery.quick.reset();
    }

    fn prune(&mut self) {
        self.targets
            .retain(|_, entry| entry.listed || entry.state == TargetState::Dialing || entry.links > 0);
    }
}

/// Returns the time at which the target is to be dialed for a link of its own. `None`: not until something changes, or
/// not while its name has a link to a proxy that cannot tell a second one.
fn due(names: &[Name], target: Target, entry: &TargetEntry) -> Option<Instant> {
    entry.due().filter(|_| !names[target.url].alone)
}

#[cfg(test)]
mod tests;
