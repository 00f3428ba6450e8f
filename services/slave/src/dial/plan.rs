//! When to resolve names and where to dial next. Must not know sockets: time, chance and what happened are given.
//!
//! Every address that a name gives is a [`Line`]: one without a link is dialed, with backoff. Where proxies are missing (a
//! load balancer hides them behind one address) lines that have a link are dialed again, one at a time: the search.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::link::backoff::Backoff;

use super::patience::Patience;
use crate::endpoint::PeerDiscovery;
use crate::link::Ended;

/// Addresses that are dialed at most: more than any fleet of proxies has.
const MOST_LINES: usize = 256;

/// An address that never led to a proxy, while others of its name did, is dialed less and less often: `localhost` has two,
/// of which one may be nobody's.
const STRANGE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// First wait of the search while proxies are known to be missing; the longest is `RECONNECT_MAX`, as for a lost link.
const MISSING: Duration = Duration::from_millis(500);

/// First and longest wait while nobody is known to be missing: one that nobody has found yet is found this way.
const IDLE: [Duration; 2] = [Duration::from_secs(2), Duration::from_mins(5)];

/// After a lost link its name is resolved again within this time.
const AGAIN: Duration = Duration::from_millis(500);

/// One address behind one URL (by its place in `PROXY_SERVER_URL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) url: usize,
    pub(super) address: SocketAddr,
}

/// Why a line is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It has no link.
    Keep,
    /// It may lead to another proxy this time.
    Search,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Resolve the host of this URL; then [`Plan::resolved`].
    Resolve(usize),
    /// Dial; then [`Plan::linked`] or [`Plan::failed`].
    Dial(Line, Purpose),
}

/// Times that the operator sets, and chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// `RECONNECT_MAX`.
    pub(super) reconnect_max: Duration,
    /// `PROXY_RESOLVE_INTERVAL`.
    pub(super) resolve: Duration,
    /// Uniform over all of `u64`.
    pub(super) random: fn() -> u64,
}

struct Name {
    resolving: bool,
    at: Instant,
    backoff: Backoff,
    /// The link behind this name leads to a proxy that cannot tell a second one: there must be no other.
    alone: bool,
}

/// What a line without a link does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It is to be dialed at this time.
    Due(Instant),
    /// It is being dialed.
    Dialing,
    /// It leads to a proxy that has a link over another address: dialed again when a link ends.
    Covered,
}

struct State {
    /// The name still has it.
    listed: bool,
    links: usize,
    stand: Stand,
    /// It led to a proxy once.
    proven: bool,
    /// The proxy does not want us: no hurry.
    unwanted: bool,
    patience: Patience,
    strange: Backoff,
}

struct Search {
    under_way: bool,
    at: Option<Instant>,
    quick: Backoff,
    idle: Backoff,
    last: Option<Line>,
    missing: bool,
}

/// All names and lines.
pub(super) struct Plan {
    pace: Pace,
    names: Vec<Name>,
    lines: BTreeMap<Line, State>,
    search: Search,
}

fn backoff([first, cap]: [Duration; 2]) -> Backoff {
    Backoff::new(first, cap)
}

impl Plan {
    /// For so many URLs, all of them to be resolved at once.
    pub(super) fn new(urls: usize, pace: Pace, now: Instant) -> Self {
        let name = || Name {
            resolving: false,
            at: now,
            backoff: Backoff::new(AGAIN, pace.reconnect_max),
            alone: false,
        };
        let search = Search {
            under_way: false,
            at: None,
            quick: Backoff::new(MISSING, pace.reconnect_max),
            idle: backoff(IDLE),
            last: None,
            missing: false,
        };
        Self { pace, names: (0..urls).map(|_| name()).collect(), lines: BTreeMap::new(), search }
    }

    /// The next thing to be done right now; call it until there is none.
    pub(super) fn poll(&mut self, now: Instant, outlook: PeerDiscovery) -> Option<Step> {
        if let Some(index) = self.names.iter().position(|name| !name.resolving && name.at <= now) {
            self.names[index].resolving = true;
            return Some(Step::Resolve(index));
        }
        let names = &self.names;
        let due = |(line, state): &(&Line, &mut State)| state.due(names, **line).is_some_and(|at| at <= now);
        if let Some((line, state)) = self.lines.iter_mut().find(due) {
            state.stand = Stand::Dialing;
            return Some(Step::Dial(*line, Purpose::Keep));
        }
        self.search_at(now, outlook).filter(|at| *at <= now)?;
        let Some(line) = self.candidate() else {
            self.search.at = Some(now + self.search.idle.next((self.pace.random)()));
            return None;
        };
        self.search.under_way = true;
        self.search.last = Some(line);
        Some(Step::Dial(line, Purpose::Search))
    }

    /// When [`Self::poll`] has something though nothing else happens. Call it after that gave nothing.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let names = self.names.iter().filter(|name| !name.resolving).map(|name| name.at);
        let lines = self.lines.iter().filter_map(|(line, state)| state.due(&self.names, *line));
        let search = self.search.at.filter(|_| !self.search.under_way);
        names.chain(lines).chain(search).min()
    }

    /// When the search goes on; `None`: there is nothing to search, or it is under way.
    fn search_at(&mut self, now: Instant, outlook: PeerDiscovery) -> Option<Instant> {
        if outlook.searchable == 0 {
            self.search.at = None;
            return None;
        }
        if self.search.at.is_none() || outlook.missing != self.search.missing {
            self.search.missing = outlook.missing;
            self.search.quick.reset();
            self.schedule_search(now);
        }
        self.search.at.filter(|_| !self.search.under_way)
    }

    fn schedule_search(&mut self, now: Instant) {
        let pace = if self.search.missing { &mut self.search.quick } else { &mut self.search.idle };
        self.search.at = Some(now + pace.next((self.pace.random)()));
    }

    /// The next line that leads to a proxy, in turn.
    fn candidate(&self) -> Option<Line> {
        let fits = |(line, state): &(&Line, &State)| {
            state.listed && (state.links > 0 || state.stand == Stand::Covered) && !self.names[line.url].alone
        };
        let after = self
            .lines
            .iter()
            .filter(fits)
            .find(|(line, _)| self.search.last.is_none_or(|last| **line > last));
        after.or_else(|| self.lines.iter().find(fits)).map(|(line, _)| *line)
    }

    /// A name has these addresses now.
    pub(super) fn resolved(&mut self, url: usize, addresses: &BTreeSet<SocketAddr>, now: Instant) {
        let jitter = 0.75 + 0.5 * ((self.pace.random)() as f64 / u64::MAX as f64);
        let name = &mut self.names[url];
        (name.resolving, name.at) = (false, now + self.pace.resolve.mul_f64(jitter));
        name.backoff.reset();
        for (line, state) in self.lines.iter_mut().filter(|(line, _)| line.url == url) {
            state.listed = addresses.contains(&line.address);
        }
        for address in addresses {
            let line = Line { url, address: *address };
            if self.lines.len() < MOST_LINES || self.lines.contains_key(&line) {
                self.lines.entry(line).or_insert_with(|| State::new(self.pace.reconnect_max, now));
            }
        }
        self.prune();
    }

    /// A name could not be resolved: what it had before stays. How long until the next attempt.
    pub(super) fn unresolved(&mut self, url: usize, now: Instant) -> Duration {
        let name = &mut self.names[url];
        let wait = name.backoff.next((self.pace.random)());
        (name.resolving, name.at) = (false, now + wait);
        wait
    }

    /// Whether any address of this URL has a link.
    pub(super) fn is_served(&self, url: usize) -> bool {
        self.lines.iter().any(|(line, state)| line.url == url && state.links > 0)
    }

    /// Dialing led to a link. `alone`: its proxy knows of no others.
    pub(super) fn linked(&mut self, (line, purpose): (Line, Purpose), alone: bool, now: Instant) {
        self.names[line.url].alone |= alone;
        if let Some(state) = self.lines.get_mut(&line) {
            state.links += 1;
            (state.stand, state.proven, state.unwanted) = (Stand::Due(now), true, false);
        }
        self.search.under_way &= purpose == Purpose::Keep;
        self.search.quick.reset();
        self.search.idle.reset();
        self.schedule_search(now);
    }

    /// Dialing led to nothing. How long until the line is dialed again; `None`: not until something changes.
    pub(super) fn failed(
        &mut self,
        (line, purpose): (Line, Purpose),
        ended: &Ended,
        now: Instant,
    ) -> Option<Duration> {
        if purpose == Purpose::Search {
            self.search.under_way = false;
            self.schedule_search(now);
            return None;
        }
        let served = self.is_served(line.url);
        let state = self.lines.get_mut(&line)?;
        if *ended == Ended::AlreadyLinked {
            (state.stand, state.proven) = (Stand::Covered, true);
            return None;
        }
        let mut wait = state.patience.after(ended);
        if served && !state.proven {
            wait = state.strange.next((self.pace.random)());
        }
        state.wait(ended, now + wait);
        self.prune();
        Some(wait)
    }

    /// A link that was up for `held` has ended. How long until its line is dialed again.
    pub(super) fn ended(&mut self, line: Line, (ended, held): (&Ended, Duration), now: Instant) -> Duration {
        let name = &mut self.names[line.url];
        name.alone = false;
        let soon = Duration::from_nanos((self.pace.random)() % u64::try_from(AGAIN.as_nanos()).unwrap_or(1));
        name.at = name.at.min(now + soon);
        let mut wait = Duration::ZERO;
        for (other, state) in &mut self.lines {
            if *other == line {
                state.links = state.links.saturating_sub(1);
                state.patience.held(held);
                wait = state.patience.after(ended);
                state.wait(ended, now + wait);
            } else if state.stand == Stand::Covered {
                let wait = state.patience.after(ended);
                state.wait(ended, now + wait);
            }
        }
        self.search.quick.reset();
        self.search.idle.reset();
        self.schedule_search(now);
        self.prune();
        wait
    }

    /// A proxy goes down: others are wanted before its link is gone.
    pub(super) fn hurry(&mut self, now: Instant) {
        for name in &mut self.names {
            name.at = now;
        }
        for state in self.lines.values_mut().filter(|state| !state.unwanted) {
            if let Stand::Due(at) = &mut state.stand {
                *at = now.min(*at);
            }
        }
        self.search.quick.reset();
        self.search.at = Some(now);
    }

    /// Another code may be accepted where the last was not: nobody is left alone for that any more.
    pub(super) fn code_changed(&mut self, now: Instant) {
        for state in self.lines.values_mut().filter(|state| state.unwanted) {
            if let Stand::Due(at) = &mut state.stand {
                *at = now.min(*at);
            }
        }
        self.search.quick.reset();
    }

    fn prune(&mut self) {
        self.lines.retain(|_, state| state.listed || state.stand == Stand::Dialing || state.links > 0);
    }
}

impl State {
    fn new(reconnect_max: Duration, now: Instant) -> Self {
        Self {
            listed: true,
            links: 0,
            stand: Stand::Due(now),
            proven: false,
            unwanted: false,
            patience: Patience::new(reconnect_max),
            strange: backoff(STRANGE),
        }
    }

    fn wait(&mut self, ended: &Ended, until: Instant) {
        self.stand = Stand::Due(until);
        self.unwanted = matches!(ended, Ended::Refused(_) | Ended::Replaced);
    }

    /// When it is to be dialed for a link of its own.
    fn due(&self, names: &[Name], line: Line) -> Option<Instant> {
        match self.stand {
            Stand::Due(at) if self.listed && self.links == 0 && !names[line.url].alone => Some(at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
