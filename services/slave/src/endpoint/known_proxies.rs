//! The proxies that are known, and those that this slave is linked to. Must not know addresses.
//!
//! docs/PROTOCOL.md, "Several proxies".

use std::collections::{BTreeSet, VecDeque};

use protocol::link::handshake::ProxyHello;
use protocol::link::ids::{InstanceId, LinkId};
use protocol::link::peers::{Peers, from_text};

/// Drained instances that are relinked, so that a late list with them starts no search. Instances never come back.
const MAX_GONE: usize = 256;

/// A link and the proxy behind it.
struct LinkedProxy {
    id: LinkId,
    /// `None`: a proxy of the plain dialect.
    proxy: Option<InstanceId>,
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
    pub(super) fn add(&mut self, link: LinkId, hello: Option<&ProxyHello>, code_generation: u64) {
        let peers = hello
            .filter(|hello| !hello.peers.is_empty())
            .map(|hello| Peers { proxies: from_text(&hello.peers), at_least: hello.peers_at_least });
        let proxy = hello.and_then(|hello| InstanceId::parse(&hello.instance));
        self.linked.push(LinkedProxy { id: link, proxy, peers, draining: false, code_generation });
    }

    /// Removes a link.
    pub(super) fn remove(&mut self, link: LinkId) {
        self.linked.retain(|one| one.id != link);
    }

    /// Returns the links to the proxy with this hello.
    pub(super) fn links_to_same_proxy(&self, hello: Option<&ProxyHello>) -> Vec<LinkId> {
        let proxy = hello.and_then(|hello| InstanceId::parse(&hello.instance));
        let same = self.linked.iter().filter(|link| proxy.is_some() && link.proxy == proxy);
        same.map(|link| link.id).collect()
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

    /// Returns the report for proxies: the linked proxies that do not drain.
    pub(super) fn report(&self) -> Peers {
        let staying = self.linked.iter().filter(|link| !link.draining);
        Peers { proxies: staying.filter_map(|link| link.proxy).collect(), at_least: 0 }
    }

    /// Returns the links whose proxies take reports.
    pub(super) fn reporting_links(&self) -> impl Iterator<Item = LinkId> {
        self.linked.iter().filter(|link| link.peers.is_some()).map(|link| link.id)
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
        let mut known: BTreeSet<_> = lists.flat_map(|peers| peers.proxies.iter().copied()).collect();
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
    use super::*;

    fn hello(instance: u64, peers: &[u64]) -> ProxyHello {
        let text = |id: &u64| InstanceId(*id).to_string();
        ProxyHello {
            instance: text(&instance),
            peers: peers.iter().map(text).collect(),
            ..ProxyHello::default()
        }
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
        proxies.on_peers(LinkId(1), &Peers { proxies: ids(&[1, 2]), at_least: 0 });
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (true, 2));
        proxies.add(LinkId(2), Some(&hello(2, &[2])), 0);
        assert!(!proxies.discovery().missing);
        assert_eq!((proxies.linked(), proxies.report().proxies), (ids(&[1, 2]), ids(&[1, 2])));
        proxies.on_peers(LinkId(2), &Peers { proxies: ids(&[1, 2]), at_least: 3 });
        assert_eq!((proxies.discovery().missing, proxies.wanted()), (true, 3));
    }

    #[test]
    fn a_draining_proxy_is_neither_reported_nor_searched() {
        let mut proxies = KnownProxies::default();
        proxies.add(LinkId(1), Some(&hello(1, &[1])), 0);
        proxies.on_draining(LinkId(1));
        assert!(proxies.discovery().missing, "nobody stays");
        assert_eq!(proxies.report().proxies, ids(&[]));
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
        assert_eq!((proxies.report().proxies, proxies.wanted()), (ids(&[1, 2]), 2), "they are linked still");
        assert_eq!(proxies.links_to_same_proxy(Some(&hello(2, &[]))), [LinkId(2)]);
        proxies.remove(LinkId(2));
        proxies.add(LinkId(3), Some(&hello(2, &[1, 2])), 1);
        assert_eq!((proxies.discovery().missing, proxies.linked()), (true, ids(&[2])));
        proxies.remove(LinkId(1));
        proxies.add(LinkId(4), Some(&hello(1, &[1, 2])), 1);
        assert!(!proxies.discovery().missing);
    }
}
