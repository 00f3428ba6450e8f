//! Which proxies there are and which of them this slave is linked to. Must not know addresses.
//!
//! docs/PROTOCOL.md, "Several proxies".

use std::collections::{BTreeSet, VecDeque};

use protocol::link::handshake::ProxyHello;
use protocol::link::ids::{InstanceId, LinkId};
use protocol::link::peers::{Peers, from_text};

/// Instances that said they go down, remembered so that late news of them starts no search. They never come back.
const MOST_GONE: usize = 256;

/// One link.
struct Member {
    link: LinkId,
    /// `None`: a proxy of the plain dialect.
    proxy: Option<InstanceId>,
    /// What it said last of the others; `None`: it takes no part in this.
    told: Option<Peers>,
    draining: bool,
    /// Of the code that opened it.
    turn: u64,
}

/// All links, and what the proxies behind them know of each other.
#[derive(Default)]
pub(super) struct Roster {
    members: Vec<Member>,
    gone: VecDeque<InstanceId>,
    /// Of the code that opens links now.
    turn: u64,
}

/// What those who dial want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// Links whose proxies take part: dialing where they were found may lead to others.
    pub(crate) searchable: usize,
    /// There are proxies that the slave is not linked to, or none that stays.
    pub(crate) missing: bool,
    /// A proxy that goes down is among those linked.
    pub(crate) draining: usize,
    /// Of the code that opens links now.
    pub(crate) turn: u64,
}

impl Roster {
    /// `turn` is that of the code that opened the link.
    pub(super) fn up(&mut self, link: LinkId, hello: Option<&ProxyHello>, turn: u64) {
        let told = hello
            .filter(|hello| !hello.peers.is_empty())
            .map(|hello| Peers { proxies: from_text(&hello.peers), at_least: hello.peers_at_least });
        let proxy = hello.and_then(|hello| InstanceId::parse(&hello.instance));
        self.members.push(Member { link, proxy, told, draining: false, turn });
    }

    pub(super) fn down(&mut self, link: LinkId) {
        self.members.retain(|member| member.link != link);
    }

    /// Links to the proxy that says this of itself.
    pub(super) fn of_same_proxy(&self, hello: Option<&ProxyHello>) -> Vec<LinkId> {
        let proxy = hello.and_then(|hello| InstanceId::parse(&hello.instance));
        let same = self.members.iter().filter(|member| proxy.is_some() && member.proxy == proxy);
        same.map(|member| member.link).collect()
    }

    /// Another code opens links now.
    pub(super) fn code_changed(&mut self, turn: u64) {
        self.turn = turn;
    }

    /// The proxy behind this link goes down.
    pub(super) fn draining(&mut self, link: LinkId) {
        for member in self.members.iter_mut().filter(|member| member.link == link) {
            member.draining = true;
            if let Some(proxy) = member.proxy
                && !self.gone.contains(&proxy)
            {
                self.gone.truncate(MOST_GONE - 1);
                self.gone.push_front(proxy);
            }
        }
    }

    /// Whether the proxy behind this link goes down.
    pub(super) fn is_draining(&self, link: LinkId) -> bool {
        self.members.iter().any(|member| member.link == link && member.draining)
    }

    /// The proxy behind this link said which others there are.
    pub(super) fn told(&mut self, link: LinkId, peers: &Peers) {
        for member in self.members.iter_mut().filter(|member| member.link == link) {
            if let Some(told) = &mut member.told {
                told.clone_from(peers);
            }
        }
    }

    /// Every proxy that has a link, for the first message of another. One whose link an older code has opened is none
    /// of them, so that it takes another link in place of that; only proxies that take part are looked for.
    pub(super) fn linked(&self) -> BTreeSet<InstanceId> {
        let stays = |member: &&Member| member.turn >= self.turn || member.told.is_none() || member.draining;
        self.members.iter().filter(stays).filter_map(|member| member.proxy).collect()
    }

    /// What proxies are told: those that stay.
    pub(super) fn report(&self) -> Peers {
        let staying = self.members.iter().filter(|member| !member.draining);
        Peers { proxies: staying.filter_map(|member| member.proxy).collect(), at_least: 0 }
    }

    /// Links whose proxies want to be told.
    pub(super) fn takers(&self) -> impl Iterator<Item = LinkId> {
        self.members.iter().filter(|member| member.told.is_some()).map(|member| member.link)
    }

    /// How many proxies there are, as far as is known: links that there should be.
    pub(super) fn wanted(&self) -> usize {
        let plain = self.staying().filter(|member| member.proxy.is_none()).count();
        (self.known().len() + plain).max(self.at_least())
    }

    pub(super) fn outlook(&self) -> Outlook {
        let staying = self.staying().count();
        let linked = self.linked();
        let unknown = self.known().iter().any(|proxy| !linked.contains(proxy));
        let none_stays = staying == 0 && !self.members.is_empty();
        Outlook {
            searchable: self.takers().count(),
            missing: unknown || self.at_least() > staying || none_stays,
            draining: self.members.len() - staying,
            turn: self.turn,
        }
    }

    /// Links whose proxies said that they go down.
    pub(super) fn on_their_way(&self) -> impl Iterator<Item = LinkId> {
        self.members.iter().filter(|member| member.draining).map(|member| member.link)
    }

    fn staying(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.draining)
    }

    /// Proxies that some proxy knows of, or that have a link; without those that went down.
    fn known(&self) -> BTreeSet<InstanceId> {
        let told = self.staying().filter_map(|member| member.told.as_ref());
        let mut known: BTreeSet<_> = told.flat_map(|peers| peers.proxies.iter().copied()).collect();
        known.extend(self.staying().filter_map(|member| member.proxy));
        known.retain(|proxy| !self.gone.contains(proxy));
        known
    }

    fn at_least(&self) -> usize {
        let told = self.staying().filter_map(|member| member.told.as_ref());
        told.map(|peers| peers.at_least).max().unwrap_or_default().try_into().unwrap_or(usize::MAX)
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
    fn a_proxy_that_another_knows_is_missing_until_it_is_linked() {
        let mut roster = Roster::default();
        assert_eq!(roster.outlook(), Outlook::default());
        roster.up(LinkId(1), Some(&hello(1, &[1])), 0);
        assert_eq!((roster.outlook().missing, roster.wanted()), (false, 1));
        roster.told(LinkId(1), &Peers { proxies: ids(&[1, 2]), at_least: 0 });
        assert_eq!((roster.outlook().missing, roster.wanted()), (true, 2));
        roster.up(LinkId(2), Some(&hello(2, &[2])), 0);
        assert!(!roster.outlook().missing);
        assert_eq!((roster.linked(), roster.report().proxies), (ids(&[1, 2]), ids(&[1, 2])));
        roster.told(LinkId(2), &Peers { proxies: ids(&[1, 2]), at_least: 3 });
        assert_eq!((roster.outlook().missing, roster.wanted()), (true, 3));
    }

    #[test]
    fn one_that_goes_down_is_neither_reported_nor_looked_for() {
        let mut roster = Roster::default();
        roster.up(LinkId(1), Some(&hello(1, &[1])), 0);
        roster.draining(LinkId(1));
        assert!(roster.outlook().missing, "nobody stays");
        assert_eq!(roster.report().proxies, ids(&[]));
        assert_eq!(roster.linked(), ids(&[1]), "there is a link still");
        roster.up(LinkId(2), Some(&hello(2, &[1, 2])), 0);
        assert!(!roster.outlook().missing);
        roster.down(LinkId(1));
        assert_eq!((roster.outlook().missing, roster.wanted()), (false, 1), "2 has not forgotten 1 yet");
    }

    #[test]
    fn proxies_that_take_no_part_are_told_nothing() {
        let mut roster = Roster::default();
        roster.up(LinkId(1), None, 0);
        roster.up(LinkId(2), Some(&hello(2, &[])), 0);
        assert_eq!(roster.takers().count(), 0);
        assert_eq!(roster.outlook(), Outlook::default());
        assert_eq!(roster.wanted(), 2);
    }

    #[test]
    fn a_changed_code_makes_links_of_older_ones_wanted_again() {
        let mut roster = Roster::default();
        roster.up(LinkId(1), Some(&hello(1, &[1, 2])), 0);
        roster.up(LinkId(2), Some(&hello(2, &[1, 2])), 0);
        roster.code_changed(1);
        assert_eq!((roster.outlook().missing, roster.linked()), (true, ids(&[])));
        assert_eq!((roster.report().proxies, roster.wanted()), (ids(&[1, 2]), 2), "they are linked still");
        assert_eq!(roster.of_same_proxy(Some(&hello(2, &[]))), [LinkId(2)]);
        roster.down(LinkId(2));
        roster.up(LinkId(3), Some(&hello(2, &[1, 2])), 1);
        assert_eq!((roster.outlook().missing, roster.linked()), (true, ids(&[2])));
        roster.down(LinkId(1));
        roster.up(LinkId(4), Some(&hello(1, &[1, 2])), 1);
        assert!(!roster.outlook().missing);
    }
}
