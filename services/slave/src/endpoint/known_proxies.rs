//! The proxies that are known, and those that this slave is linked to. Must not know addresses.
//!
//! docs/PROTOCOL.md, "Several proxies".

use std::collections::{BTreeSet, VecDeque};

use protocol::link::fleet::FleetKeys;
use protocol::link::ids::{InstanceId, LinkId};
use protocol::link::peers::{PeerFact, Peers, from_text};

use super::proven_proxy::ProvenProxy;

/// Drained instances that are relinked, so that a late list with them starts no search. Instances never come back.
const MAX_GONE: usize = 256;

/// A link and the proxy behind it.
struct LinkedProxy {
    id: LinkId,
    /// `None`: a proxy of the plain dialect.
    proxy: Option<InstanceId>,
    /// The keys of the proxy's fleet.
    fleet: FleetKeys,
    /// The newest fact by which other proxies of the fleet know it, as it came from the proxy itself.
    fact: Option<PeerFact>,
    /// The last list of proxies that it sent; `None`: it exchanges no lists.
    peers: Option<Peers>,
    draining: bool,
    /// The generation of the code that opened the link.
    code_generation: u64,
}

/// All links, and the proxies that are known from them.
#[derive(Default)]
pub(super) struct KnownProxies {
    linked: Vec<LinkedProxy>,
    /// Drained proxies, the latest first.
    gone: VecDeque<InstanceId>,
    /// The generation of the code that opens links now.
    code_generation: u64,
}

/// Whether there are proxies without a link, as the dialer needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerDiscovery {
    /// Links whose proxies exchange lists: dialing their addresses again may lead to other proxies.
    pub(crate) searchable: usize,
    /// Whether there are proxies without a link, or all linked proxies drain.
    pub(crate) missing: bool,
    /// Links whose proxies drain.
    pub(crate) draining: usize,
    /// The generation of the code that opens links now.
    pub(crate) code_generation: u64,
}

impl KnownProxies {
    /// Adds a link that was opened with the code of this generation.
    pub(super) fn add(&mut self, link: LinkId, proxy: Option<&ProvenProxy>, code_generation: u64) {
        let peers = proxy
            .map(|proxy| &proxy.hello)
            .filter(|hello| !hello.peers.is_empty())
            .map(|hello| Peers { proxies: from_text(&hello.peers), at_least: hello.peers_at_least });
        self.linked.push(LinkedProxy {
            id: link,
            proxy: proxy.map(|proxy| proxy.instance),
            fleet: proxy.map(|proxy| proxy.fleet).unwrap_or_default(),
            fact: proxy.and_then(ProvenProxy::fact),
            peers,
            draining: false,
            code_generation,
        });
    }

    /// Removes a link.
    pub(super) fn remove(&mut self, link: LinkId) {
        self.linked.retain(|one| one.id != link);
    }

    /// Returns the links to this proxy.
    pub(super) fn links_to_same_proxy(&self, proxy: Option<&ProvenProxy>) -> Vec<LinkId> {
        let is_same = |link: &&LinkedProxy| {
            proxy.zip(link.proxy).is_some_and(|(proxy, instance)| proxy.is_same(instance, &link.fleet))
        };
        self.linked.iter().filter(is_same).map(|link| link.id).collect()
    }

    /// Sets the generation of the code that opens links from now on.
    pub(super) fn set_code_generation(&mut self, generation: u64) {
        self.code_generation = generation;
    }

    /// Marks the proxy behind a link as draining.
    pub(super) fn on_draining(&mut self, link: LinkId) {
        for link in self.linked.iter_mut().filter(|one| one.id == link) {
            link.draining = true;
            if let Some(proxy) = link.proxy
                && !self.gone.contains(&proxy)
            {
                self.gone.truncate(MAX_GONE - 1);
                self.gone.push_front(proxy);
            }
        }
    }

    /// Returns whether the proxy behind a link drains.
    pub(super) fn is_draining(&self, link: LinkId) -> bool {
        self.linked.iter().any(|one| one.id == link && one.draining)
    }

    /// Takes the list of proxies that the proxy behind a link knows.
    pub(super) fn on_peers(&mut self, link: LinkId, peers: &Peers) {
        for link in self.linked.iter_mut().filter(|one| one.id == link) {
            if let Some(known) = &mut link.peers {
                known.clone_from(peers);
                // The proxy renews its own fact with each list.
                let own = peers.proxies.iter().filter(|fact| Some(fact.instance) == link.proxy);
                link.fact = own.copied().chain(link.fact).max();
            }
        }
    }

    /// Returns the linked proxies, for the first message of another link. A proxy whose link an older code opened is left
    /// out, so that it accepts a link in place of that one; this holds only for proxies that exchange lists.
    pub(super) fn linked(&self) -> BTreeSet<InstanceId> {
        let stays = |link: &&LinkedProxy| {
            link.code_generation >= self.code_generation || link.peers.is_none() || link.draining
        };
        self.linked.iter().filter(stays).filter_map(|link| link.proxy).collect()
    }

    /// Returns the report for proxies: the facts of the linked proxies that do not drain.
    pub(super) fn report(&self) -> Peers {
        let staying = self.linked.iter().filter(|link| !link.draining);
        Peers { proxies: staying.filter_map(|link| link.fact).collect(), at_least: 0 }
    }

    /// Returns the links whose proxies take reports.
    pub(super) fn reporting_links(&self) -> impl Iterator<Item = LinkId> {
        self.linked.iter().filter(|link| link.peers.is_some()).map(|link| link.id)
    }

    /// Returns whether the proxy behind a link takes reports.
    pub(super) fn takes_reports(&self, link: LinkId) -> bool {
        self.reporting_links().any(|one| one == link)
    }

    /// Returns the keys of the fleet of the proxy behind a link; `None`: there is no such link.
    pub(super) fn fleet_of(&self, link: LinkId) -> Option<FleetKeys> {
        self.linked.iter().find(|one| one.id == link).map(|one| one.fleet)
    }

    /// Returns the links to other proxies of the same fleet, if they take reports.
    pub(super) fn links_of_fleet(&self, link: LinkId) -> impl Iterator<Item = LinkId> {
        let fleet = self.fleet_of(link).unwrap_or_default();
        let others = self
            .linked
            .iter()
            .filter(move |one| one.id != link && one.peers.is_some() && one.fleet.shares_a_key(&fleet));
        others.map(|one| one.id)
    }

    /// Returns the number of proxies that are known: links that there should be.
    pub(super) fn wanted(&self) -> usize {
        let plain = self.staying().filter(|link| link.proxy.is_none()).count();
        (self.known().len() + plain).max(self.at_least())
    }

    /// Returns whether there are proxies without a link.
    pub(super) fn discovery(&self) -> PeerDiscovery {
        let staying = self.staying().count();
        let linked = self.linked();
        let unknown = self.known().iter().any(|proxy| !linked.contains(proxy));
        let none_stays = staying == 0 && !self.linked.is_empty();
        PeerDiscovery {
            searchable: self.reporting_links().count(),
            missing: unknown || self.at_least() > staying || none_stays,
            draining: self.linked.len() - staying,
            code_generation: self.code_generation,
        }
    }

    /// Returns the links whose proxies drain.
    pub(super) fn draining_links(&self) -> impl Iterator<Item = LinkId> {
        self.linked.iter().filter(|link| link.draining).map(|link| link.id)
    }

    fn staying(&self) -> impl Iterator<Item = &LinkedProxy> {
        self.linked.iter().filter(|link| !link.draining)
    }

    /// Returns the proxies that are linked or in some proxy's list, without those that drained.
    fn known(&self) -> BTreeSet<InstanceId> {
        let lists = self.staying().filter_map(|link| link.peers.as_ref());
        let mut known: BTreeSet<_> = lists.flat_map(Peers::instances).collect();
        known.extend(self.staying().filter_map(|link| link.proxy));
        known.retain(|proxy| !self.gone.contains(proxy));
        known
    }

    fn at_least(&self) -> usize {
        let lists = self.staying().filter_map(|link| link.peers.as_ref());
        lists.map(|peers| peers.at_least).max().unwrap_or_default().try_into().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use protocol::link::fleet::FleetKey;
    use protocol::link::handshake::ProxyHello;

    use super::*;

    fn fact(instance: u64, at: u64) -> PeerFact {
        PeerFact { instance: InstanceId(instance), at, tag: [0; 16] }
    }

    fn facts(ids: &[u64]) -> BTreeSet<PeerFact> {
        ids.iter().map(|id| fact(*id, 1)).collect()
    }

    fn proxy_of(fleet: u8, instance: u64, peers: &[u64]) -> ProvenProxy {
        let hello = ProxyHello {
            fact: Some(fact(instance, 1).to_string()),
            peers: facts(peers).iter().map(ToString::to_string).collect(),
            ..ProxyHello::default()
        };
        let fleet = FleetKeys::new([FleetKey([fleet; 32])]);
        ProvenProxy { hello, instance: InstanceId(instance), fleet }
    }

    fn hello(instance: u64, peers: &[u64]) -> ProvenProxy {
        proxy_of(1, instance, peers)
    }

    fn ids(ids: &[u64]) -> BTreeSet<InstanceId> {
        ids.iter().copied().map(InstanceId).collect()
    }

    #[test]
    fn a_proxy_in_another_s_list_is_missing_until_it_is_linked() {
        let mut proxies = KnownProxies::default();
        assert_eq!(proxies.discovery(), PeerDiscovery::default());
        proxies.add(LinkId(1), Some(&hello(1, &[1])), 0);
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (false, 1));
        proxies.on_peers(LinkId(1), &Peers { proxies: facts(&[1, 2]), at_least: 0 });
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (true, 2));
        proxies.add(LinkId(2), Some(&hello(2, &[2])), 0);
        assert!(!proxies.discovery().missing);
        assert_eq!((proxies.linked(), proxies.report().instances()), (ids(&[1, 2]), ids(&[1, 2])));
        proxies.on_peers(LinkId(2), &Peers { proxies: facts(&[1, 2]), at_least: 3 });
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (true, 3));
    }

    #[test]
    fn a_draining_proxy_is_neither_reported_nor_searched() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), Some(&hello(1, &[1])), 0);
        proxies.on_draining(LinkId(1));
        assert!(proxies.discovery().missing, "nobody stays");
        assert_eq!(proxies.report().instances(), ids(&[]));
        assert_eq!(proxies.linked(), ids(&[1]), "there is a link still");
        proxies.add(LinkId(2), Some(&hello(2, &[1, 2])), 0);
        assert!(!proxies.discovery().missing);
        proxies.remove(LinkId(1));
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (false, 1), "2 has not forgotten 1 yet");
    }

    #[test]
    fn proxies_without_lists_get_no_reports() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), None, 0);
        proxies.add(LinkId(2), Some(&hello(2, &[])), 0);
        assert_eq!(proxies.reporting_links().count(), 0);
        assert_eq!(proxies.discovery(), PeerDiscovery::default());
        assert_eq!(proxies.wanted(), 2);
    }

    #[test]
    fn a_changed_code_makes_proxies_with_older_links_missing_again() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), Some(&hello(1, &[1, 2])), 0);
        proxies.add(LinkId(2), Some(&hello(2, &[1, 2])), 0);
        proxies.set_code_generation(1);
        assert_eq!((proxies.discovery().missing, proxies.linked()), (true, ids(&[])));
        assert_eq!(
            (proxies.report().instances(), proxies.wanted()),
            (ids(&[1, 2]), 2),
            "they are linked still"
        );
        assert_eq!(proxies.links_to_same_proxy(Some(&hello(2, &[]))), [LinkId(2)]);
        proxies.remove(LinkId(2));
        proxies.add(LinkId(3), Some(&hello(2, &[1, 2])), 1);
        assert_eq!((proxies.discovery().missing, proxies.linked()), (true, ids(&[2])));
        proxies.remove(LinkId(1));
        proxies.add(LinkId(4), Some(&hello(1, &[1, 2])), 1);
        assert!(!proxies.discovery().missing);
    }

    #[test]
    fn a_proxy_of_another_fleet_is_another_proxy_under_the_same_instance() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), Some(&proxy_of(1, 1, &[1])), 0);
        proxies.add(LinkId(2), Some(&proxy_of(2, 1, &[1])), 0);
        proxies.add(LinkId(3), Some(&proxy_of(1, 3, &[3])), 0);
        assert_eq!(proxies.links_to_same_proxy(Some(&proxy_of(1, 1, &[]))), [LinkId(1)]);
        assert_eq!(proxies.links_of_fleet(LinkId(1)).collect::<Vec<_>>(), [LinkId(3)]);
        assert_eq!(proxies.links_of_fleet(LinkId(2)).count(), 0);
    }

    #[test]
    fn the_newest_fact_of_a_proxy_is_passed_on_and_only_as_it_came_from_that_proxy() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), Some(&hello(1, &[1])), 0);
        proxies.add(LinkId(2), Some(&hello(2, &[2])), 0);
        let list = |facts: &[PeerFact]| Peers { proxies: facts.iter().copied().collect(), at_least: 0 };
        proxies.on_peers(LinkId(1), &list(&[fact(1, 5), fact(2, 9)]));
        assert_eq!(proxies.report().proxies, [fact(1, 5), fact(2, 1)].into());
        proxies.on_peers(LinkId(1), &list(&[fact(1, 4)]));
        assert_eq!(proxies.report().proxies, [fact(1, 5), fact(2, 1)].into());
    }
}
