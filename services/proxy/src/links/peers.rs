//! The table of the proxies of a fleet, as slaves report them: a slave behind a load balancer learns from it when it is
//! linked to all proxies. Must not know sockets.
//!
//! docs/PROTOCOL.md, "Several proxies". A slave can only pass on what a proxy of the fleet said of itself: other facts are counted
//! and reported to the operator. An entry that no slave reports any more expires.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::link::ids::InstanceId;
use protocol::link::peers::{MAX_PEERS, PEER_FACT_VALIDITY, PeerFact, Peers};
use tokio::sync::Notify;

use super::event_window::EventWindow;
use super::false_facts::MAX_FALSE_FACTS;
use crate::fleet::{FactError, Fleet};
use crate::metrics;

/// Time for which a proxy is kept that no slave reports: links break and come back.
const PEER_TTL: Duration = Duration::from_secs(15);

/// Time between two warnings about facts that are not accepted.
const WARN_INTERVAL: Duration = Duration::from_mins(1);

/// The proxies that are known, and the slaves that report each.
pub(crate) struct PeerTable {
    fleet: Arc<Fleet>,
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
    /// When a fact that is not accepted was last warned of.
    warned: Option<Instant>,
}

struct PeerState {
    /// The newest fact of the proxy.
    fact: PeerFact,
    /// Number of slaves that report it.
    slaves: usize,
    /// When the entry expires, if no slave reports it.
    expires: Option<Instant>,
}

impl PeerTable {
    /// A table with this proxy only.
    pub(super) fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet, state: Mutex::default(), changed: Notify::new() }
    }

    /// Returns the instance of this proxy.
    pub(crate) fn own(&self) -> InstanceId {
        self.fleet.own()
    }

    /// Returns the known proxies as slaves are sent them, with a new fact of this one.
    pub(crate) fn known(&self) -> Peers {
        let own = self.fleet.own_fact();
        let state = self.state.lock();
        let proxies = state.known.values().map(|peer| peer.fact).take(MAX_PEERS - 1).chain([own]).collect();
        Peers { proxies, at_least: state.at_least }
    }

    /// Returns this proxy (`None`) and each other one with the number of slaves that are linked to both.
    pub(crate) fn shared_slaves(&self) -> Vec<(InstanceId, Option<usize>)> {
        let state = self.state.lock();
        let others = state.known.iter().map(|(instance, peer)| (*instance, Some(peer.slaves)));
        [(self.own(), None)].into_iter().chain(others).collect()
    }

    /// Records which proxies a slave is linked to, in place of its last report. Facts of no proxy of the fleet are left out, and counted as
    /// the slave's `rejected` ones: beyond [`MAX_FALSE_FACTS`] within a minute no more of its facts are checked.
    pub(super) fn report(
        &self,
        slave: u64,
        facts: &BTreeSet<PeerFact>,
        rejected: &EventWindow,
        now: Instant,
    ) {
        let mut accepted = BTreeMap::new();
        for fact in facts.iter().filter(|fact| fact.instance != self.own()) {
            if rejected.count(now) >= MAX_FALSE_FACTS {
                break;
            }
            match self.fleet.check(fact) {
                // The set is ordered by time within an instance: the newest fact remains.
                Ok(()) => drop(accepted.insert(fact.instance, *fact)),
                Err(error) => {
                    rejected.record(now);
                    self.reject(fact.instance, error, now);
                }
            }
        }
        let mut state = self.state.lock();
        state.remove_report(slave, now);
        let mut reported = BTreeSet::new();
        for (proxy, fact) in accepted {
            if state.known.len() < MAX_PEERS || state.known.contains_key(&proxy) {
                let peer = state.known.entry(proxy).or_insert(PeerState { fact, slaves: 0, expires: None });
                peer.fact = peer.fact.max(fact);
                peer.slaves += 1;
                peer.expires = None;
                reported.insert(proxy);
            }
        }
        if !reported.is_empty() {
            state.reports.insert(slave, reported);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Counts a fact that is not accepted, and warns of it once in a while.
    fn reject(&self, instance: InstanceId, error: FactError, now: Instant) {
        metrics::record_rejected_fact("peer");
        let mut state = self.state.lock();
        if state.warned.is_some_and(|at| now.saturating_duration_since(at) < WARN_INTERVAL) {
            return;
        }
        state.warned = Some(now);
        drop(state);
        match error {
            FactError::Foreign => tracing::warn!(
                "Slaves are linked to a proxy with another SESSION_KEY (instance {instance}): the two form no fleet. Give all \
                 proxies the same SESSION_KEY"
            ),
            FactError::Stale => tracing::warn!(
                "The clocks of this proxy and of proxy {instance} differ by more than {PEER_FACT_VALIDITY} s: the two form no fleet. \
                 Set the clocks of all proxies"
            ),
        }
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
    use runtime::secret::SessionKey;

    use super::*;

    fn fleet(instance: u64) -> Arc<Fleet> {
        Fleet::new(InstanceId(instance), &[SessionKey::derive("a")]).unwrap()
    }

    fn table() -> PeerTable {
        PeerTable::new(fleet(1))
    }

    fn ids(ids: &[u64]) -> BTreeSet<InstanceId> {
        ids.iter().copied().map(InstanceId).collect()
    }

    fn facts(ids: &[u64]) -> BTreeSet<PeerFact> {
        ids.iter().map(|id| fleet(*id).own_fact()).collect()
    }

    #[test]
    fn a_proxy_is_known_until_its_entry_expires_after_the_last_report() {
        let (table, start) = (table(), Instant::now());
        table.report(10, &facts(&[1, 2, 3]), &EventWindow::default(), start);
        table.report(11, &facts(&[2]), &EventWindow::default(), start);
        assert_eq!(table.known().instances(), ids(&[1, 2, 3]));
        table.report(10, &facts(&[1]), &EventWindow::default(), start);
        assert_eq!(table.expire(start), Some(start + PEER_TTL), "no slave reports 3");
        assert_eq!(table.known().instances(), ids(&[1, 2, 3]));
        table.report(10, &facts(&[3]), &EventWindow::default(), start);
        assert_eq!(table.expire(start + PEER_TTL), None, "3 is reported again");
        table.remove_report(10, start);
        table.remove_report(11, start);
        assert_eq!(table.expire(start + PEER_TTL), None);
        assert_eq!(table.known().instances(), ids(&[1]), "this proxy only");
    }

    #[test]
    fn what_a_slave_makes_up_is_not_known() {
        let (table, now) = (table(), Instant::now());
        let mut made_up = facts(&[2]);
        made_up.insert(PeerFact { instance: InstanceId(3), at: 1, tag: [0; 16] });
        made_up.insert(Fleet::new(InstanceId(4), &[SessionKey::derive("b")]).unwrap().own_fact());
        made_up.insert(PeerFact { instance: InstanceId(5), ..fleet(2).own_fact() });
        table.report(10, &made_up, &EventWindow::default(), now);
        assert_eq!(table.known().instances(), ids(&[1, 2]));
    }

    /// A false fact costs a check, a true one after too many false ones none.
    #[test]
    fn a_slave_that_makes_many_up_is_not_listened_to_for_a_while_and_others_are() {
        let (table, now) = (table(), Instant::now());
        let (liar, honest) = (EventWindow::default(), EventWindow::default());
        let made_up = |id| PeerFact { instance: InstanceId(id), at: 1, tag: [0; 16] };
        let lies: BTreeSet<_> = (100..500).map(made_up).collect();
        let later = now + super::super::event_window::WINDOW;
        for at in [now, later] {
            let mut told = lies.clone();
            told.extend(facts(&[2]));
            table.report(10, &told, &liar, at);
            assert_eq!(liar.count(at), MAX_FALSE_FACTS, "no more was checked");
            assert_eq!(table.known().instances(), ids(&[1, 2]), "what came before the lies");
            table.report(10, &facts(&[3]), &liar, at);
            assert_eq!((liar.count(at), table.known().instances()), (MAX_FALSE_FACTS, ids(&[1, 2])));
        }
        table.report(11, &facts(&[3]), &honest, later);
        assert_eq!(table.known().instances(), ids(&[1, 2, 3]));
    }

    #[test]
    fn memory_is_bounded_whatever_slaves_report() {
        let (table, start) = (table(), Instant::now());
        let many: Vec<u64> = (2..2000).collect();
        table.report(10, &facts(&many), &EventWindow::default(), start);
        assert!(table.known().proxies.len() <= MAX_PEERS);
    }
}
