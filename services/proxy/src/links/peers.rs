//! The table of the proxies of a fleet, as slaves report them: a slave behind a load balancer learns from it when it is
//! linked to all proxies. Must not know sockets.
//!
//! docs/PROTOCOL.md, "Several proxies". An entry that no slave reports any more expires.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use protocol::link::ids::InstanceId;
use protocol::link::peers::{MAX_PEERS, Peers};
use tokio::sync::Notify;

/// Time for which a proxy is kept that no slave reports: links break and come back.
const PEER_TTL: Duration = Duration::from_secs(15);

/// The proxies that are known, and the slaves that report each.
pub(crate) struct PeerTable {
    own: InstanceId,
    state: Mutex<State>,
    /// Notified of every change.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    /// The last report of each slave, by its key.
    reports: HashMap<u64, BTreeSet<InstanceId>>,
    known: BTreeMap<InstanceId, PeerState>,
    /// Least number of proxies, from `PROXY_PEERS`.
    at_least: u32,
}

#[derive(Default)]
struct PeerState {
    /// Number of slaves that report it.
    slaves: usize,
    /// When the entry expires, if no slave reports it.
    expires: Option<Instant>,
}

impl PeerTable {
    /// A table with this proxy only.
    pub(super) fn new(own: InstanceId) -> Self {
        Self { own, state: Mutex::default(), changed: Notify::new() }
    }

    /// Returns the instance of this proxy.
    pub(crate) fn own(&self) -> InstanceId {
        self.own
    }

    /// Returns the known proxies as slaves are sent them.
    pub(crate) fn known(&self) -> Peers {
        let state = self.state.lock();
        let proxies = state.known.keys().copied().chain([self.own]).collect();
        Peers { proxies, at_least: state.at_least }
    }

    /// Returns this proxy (`None`) and each other one with the number of slaves that are linked to both.
    pub(crate) fn shared_slaves(&self) -> Vec<(InstanceId, Option<usize>)> {
        let state = self.state.lock();
        let others = state.known.iter().map(|(instance, peer)| (*instance, Some(peer.slaves)));
        [(self.own, None)].into_iter().chain(others).collect()
    }

    /// Records which proxies a slave is linked to, in place of its last report.
    pub(super) fn report(&self, slave: u64, mut proxies: BTreeSet<InstanceId>, now: Instant) {
        proxies.remove(&self.own);
        let mut state = self.state.lock();
        state.remove_report(slave, now);
        for proxy in &proxies {
            if state.known.len() < MAX_PEERS || state.known.contains_key(proxy) {
                let peer = state.known.entry(*proxy).or_default();
                peer.slaves += 1;
                peer.expires = None;
            }
        }
        if !proxies.is_empty() {
            state.reports.insert(slave, proxies);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Removes the report of a slave whose link is down.
    pub(super) fn remove_report(&self, slave: u64, now: Instant) {
        self.state.lock().remove_report(slave, now);
        self.changed.notify_one();
    }

    /// Sets the least number of proxies (`PROXY_PEERS`).
    pub(super) fn set_at_least(&self, proxies: u32) {
        self.state.lock().at_least = proxies;
        self.changed.notify_one();
    }

    /// Removes expired entries, and returns when the next one expires.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        state.known.retain(|_, peer| peer.expires.is_none_or(|at| at > now));
        state.known.values().filter_map(|peer| peer.expires).min()
    }
}

impl State {
    fn remove_report(&mut self, slave: u64, now: Instant) {
        for proxy in self.reports.remove(&slave).unwrap_or_default() {
            if let Some(peer) = self.known.get_mut(&proxy) {
                peer.slaves = peer.slaves.saturating_sub(1);
                if peer.slaves == 0 {
                    peer.expires = Some(now + PEER_TTL);
                }
            }
        }
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
    fn a_proxy_is_known_until_its_entry_expires_after_the_last_report() {
        let (table, start) = (PeerTable::new(OWN), Instant::now());
        table.report(10, ids(&[1, 2, 3]), start);
        table.report(11, ids(&[2]), start);
        assert_eq!(table.known().proxies, ids(&[1, 2, 3]));
        table.report(10, ids(&[1]), start);
        assert_eq!(table.expire(start), Some(start + PEER_TTL), "no slave reports 3");
        assert_eq!(table.known().proxies, ids(&[1, 2, 3]));
        table.report(10, ids(&[3]), start);
        assert_eq!(table.expire(start + PEER_TTL), None, "3 is reported again");
        table.remove_report(10, start);
        table.remove_report(11, start);
        assert_eq!(table.expire(start + PEER_TTL), None);
        assert_eq!(table.known().proxies, ids(&[1]), "this proxy only");
    }

    #[test]
    fn memory_is_bounded_whatever_slaves_report() {
        let (table, start) = (PeerTable::new(OWN), Instant::now());
        table.report(10, (2..10_000).map(InstanceId).collect(), start);
        assert!(table.known().proxies.len() <= MAX_PEERS + 1);
    }
}
