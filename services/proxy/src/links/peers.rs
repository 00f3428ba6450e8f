//! Which proxies there are, as far as this one heard from its slaves: so that a slave behind a load balancer knows when it
//! is linked to all. Knows no sockets.
//!
//! docs/PROTOCOL.md, "Several proxies". Soft knowledge: what no slave says any more is forgotten after a moment.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::ids::InstanceId;
use protocol::link::peers::{MAX_PEERS, Peers};
use tokio::sync::Notify;

use super::registry::Registry;
use crate::metrics;

/// How long an instance is remembered that no slave reports: links come and go.
const LINGER: Duration = Duration::from_secs(15);

/// How often the name of `PROXY_PEERS` is resolved.
const RESOLVE: Duration = Duration::from_secs(10);

/// Changes within this time are told as one: after a restart thousands of slaves report at once.
const GATHER: Duration = Duration::from_millis(50);

/// The proxies, and who said so.
pub(crate) struct Roster {
    own: InstanceId,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// What each slave said last, by its key.
    reports: HashMap<u64, BTreeSet<InstanceId>>,
    known: BTreeMap<InstanceId, Standing>,
    at_least: u32,
}

#[derive(Default)]
struct Standing {
    /// Slaves that are linked to it.
    slaves: usize,
    /// When it is forgotten, if nobody reports it again.
    until: Option<Instant>,
}

impl Roster {
    /// Knows of nobody but this proxy.
    pub(super) fn new(own: InstanceId) -> Self {
        Self { own, state: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// This proxy.
    pub(crate) fn own(&self) -> InstanceId {
        self.own
    }

    /// What slaves are told.
    pub(crate) fn known(&self) -> Peers {
        let state = self.lock();
        let proxies = state.known.keys().copied().chain([self.own]).collect();
        Peers { proxies, at_least: state.at_least }
    }

    /// The proxies, this one included, and how many of this one's slaves are linked to each.
    pub(crate) fn seen(&self) -> Vec<(InstanceId, Option<usize>)> {
        let state = self.lock();
        let others = state.known.iter().map(|(instance, standing)| (*instance, Some(standing.slaves)));
        [(self.own, None)].into_iter().chain(others).collect()
    }

    /// A slave said which proxies it is linked to; in place of what it said before.
    pub(super) fn report(&self, slave: u64, mut proxies: BTreeSet<InstanceId>, now: Instant) {
        proxies.remove(&self.own);
        let mut state = self.lock();
        state.withdraw(slave, now);
        for proxy in &proxies {
            if state.known.len() < MAX_PEERS || state.known.contains_key(proxy) {
                let standing = state.known.entry(*proxy).or_default();
                standing.slaves += 1;
                standing.until = None;
            }
        }
        if !proxies.is_empty() {
            state.reports.insert(slave, proxies);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A slave's link is gone: what it said counts no more.
    pub(super) fn left(&self, slave: u64, now: Instant) {
        self.lock().withdraw(slave, now);
        self.changed.notify_one();
    }

    /// There are at least so many proxies (`PROXY_PEERS`).
    fn set_at_least(&self, proxies: u32) {
        self.lock().at_least = proxies;
        self.changed.notify_one();
    }

    /// Forgets whom nobody reports; when to look again.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        state.known.retain(|_, standing| standing.until.is_none_or(|until| until > now));
        state.known.values().filter_map(|standing| standing.until).min()
    }
}

impl State {
    fn withdraw(&mut self, slave: u64, now: Instant) {
        for proxy in self.reports.remove(&slave).unwrap_or_default() {
            if let Some(standing) = self.known.get_mut(&proxy) {
                standing.slaves = standing.slaves.saturating_sub(1);
                if standing.slaves == 0 {
                    standing.until = Some(now + LINGER);
                }
            }
        }
    }
}

/// Tells the slaves of every change, until it is dropped.
pub(crate) async fn announce_changes(registry: Arc<Registry>) {
    let roster = registry.roster();
    let mut told = roster.known();
    metrics::set_peers(told.proxies.len());
    loop {
        let next = roster.expire(Instant::now());
        let known = roster.known();
        if known != told {
            tracing::info!(
                proxies = known.proxies.len(),
                "Proxies that slaves are linked to, this one included"
            );
            metrics::set_peers(known.proxies.len());
            registry.announce(&known.encode());
            told = known;
        }
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = roster.changed.notified() => tokio::time::sleep(GATHER).await,
        }
    }
}

/// Keeps count of the addresses of a name that has one for each proxy (`PROXY_PEERS`), until it is dropped. While the name
/// cannot be resolved the last count stands.
pub(crate) async fn count_addresses(registry: Arc<Registry>, (host, port): (String, u16)) {
    let mut trouble = false;
    loop {
        match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(found) => {
                trouble = false;
                let addresses: BTreeSet<_> = found.collect();
                registry.roster().set_at_least(u32::try_from(addresses.len()).unwrap_or(u32::MAX));
            }
            // Told once, not every few seconds.
            Err(error) if !std::mem::replace(&mut trouble, true) => {
                tracing::warn!("PROXY_PEERS: {host} cannot be resolved: {error}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RESOLVE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: InstanceId = InstanceId(1);

    fn ids(ids: &[u64]) -> BTreeSet<InstanceId> {
        ids.iter().copied().map(InstanceId).collect()
    }

    #[test]
    fn a_proxy_is_known_while_a_slave_reports_it_and_a_moment_longer() {
        let (roster, start) = (Roster::new(OWN), Instant::now());
        roster.report(10, ids(&[1, 2, 3]), start);
        roster.report(11, ids(&[2]), start);
        assert_eq!(roster.known().proxies, ids(&[1, 2, 3]));
        roster.report(10, ids(&[1]), start);
        assert_eq!(roster.expire(start), Some(start + LINGER), "3 is reported by nobody");
        assert_eq!(roster.known().proxies, ids(&[1, 2, 3]));
        roster.report(10, ids(&[3]), start);
        assert_eq!(roster.expire(start + LINGER), None, "it is reported again");
        roster.left(10, start);
        roster.left(11, start);
        assert_eq!(roster.expire(start + LINGER), None);
        assert_eq!(roster.known().proxies, ids(&[1]), "only itself");
    }

    #[test]
    fn memory_is_bounded_whatever_slaves_say() {
        let (roster, start) = (Roster::new(OWN), Instant::now());
        roster.report(10, (2..10_000).map(InstanceId).collect(), start);
        assert!(roster.known().proxies.len() <= MAX_PEERS + 1);
    }
}
