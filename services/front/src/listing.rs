//! The lists that clients get, and who may see which entry: a client's own view is made of both. Must not know requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use policy::{ClientRules, Policy, Requester, RuleSet, SubjectKind};
use protocol::mcp::catalog::{ListHints, ListKind, ServerFacts};
use protocol::mcp::entry_array::EntryArray;

use crate::introduction::Introduction;

/// Views that are kept; when there are more, all are made anew.
const MAX_KEPT: usize = 256;

/// Whether a list has everything that it will have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// Everything that is known to come is there.
    #[default]
    Complete,
    /// More is expected until this time.
    Until(Instant),
    /// More is expected.
    Incomplete,
}

/// A list, built once for each change and shared by all requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryListing {
    /// The entries, in stable order.
    pub entries: EntryArray,
    /// Hints for caches of the lists that it is made of.
    pub hints: ListHints,
}

/// Contents of list responses, and what the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Lists in the order of [`ListKind::ALL`].
    pub lists: [EntryListing; 4],
    /// What the server says of itself.
    pub introduction: Introduction,
    /// Whether more is expected.
    pub completeness: Completeness,
    /// Who may see what of it; `None`: everybody may see all.
    pub access: Option<Arc<ListingAccess>>,
    /// It is one client's view, which no other client may be given.
    pub is_personal: bool,
}

impl Listing {
    /// Returns a list.
    pub fn list(&self, kind: ListKind) -> &EntryListing {
        &self.lists[kind as usize]
    }

    /// Replaces the listing before, and returns whether clients with an open stream are to be told.
    pub fn replace(before: &mut Arc<Self>, now: Self) -> bool {
        let changed = !before.changed_kinds(&now).is_empty() || before.access != now.access;
        *before = Arc::new(now);
        changed
    }

    /// Returns what a client may see of it.
    pub(crate) fn view(self: &Arc<Self>, client: &Requester<'_>) -> Arc<Self> {
        self.access.as_ref().map_or_else(|| Arc::clone(self), |access| access.view(self, client))
    }

    /// Returns the lists whose entries are others in `now`.
    pub fn changed_kinds(&self, now: &Self) -> Vec<ListKind> {
        let differs = |kind: &ListKind| self.list(*kind).entries != now.list(*kind).entries;
        ListKind::ALL.into_iter().filter(differs).collect()
    }

    /// Returns how long a list may be kept, in milliseconds; `most` where its parts say nothing else. A list that is empty or not
    /// complete may be another in a moment.
    pub(crate) fn ttl_ms(&self, kind: ListKind, most: u64, now: Instant) -> u64 {
        let list = self.list(kind);
        if self.is_settled(now) && !list.entries.is_empty() {
            list.hints.ttl_ms.map_or(most, |ttl| ttl.min(most))
        } else {
            0
        }
    }

    /// Returns whether nothing more is expected.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        match self.completeness {
            Completeness::Complete => true,
            Completeness::Until(due) => due <= now,
            Completeness::Incomplete => false,
        }
    }
}

/// Rules about one entry, once for each group of slaves about which they are the same.
pub type EntryRules = Vec<RuleSet>;

/// A server that speaks for itself in the introduction, with the rules about all that its slave offers.
#[derive(Clone, Debug)]
pub struct ServerAccess {
    /// Name of the backend.
    pub backend: String,
    /// What it says of itself.
    pub facts: Arc<ServerFacts>,
    /// Rules about what the slave offers.
    pub rules: Vec<(SubjectKind, RuleSet)>,
}

/// The policy as far as lists are concerned.
pub struct ListingAccess {
    policy: Arc<Policy>,
    /// Rules about the entries of each list, in the order of [`ListKind::ALL`].
    entries: [Vec<EntryRules>; 4],
    servers: Vec<ServerAccess>,
    views: Mutex<HashMap<ClientRules, Arc<Listing>>>,
}

impl ListingAccess {
    /// Creates it with the rules about each entry of each list, and about each server.
    pub fn new(policy: Arc<Policy>, entries: [Vec<EntryRules>; 4], servers: Vec<ServerAccess>) -> Self {
        Self { policy, entries, servers, views: Mutex::default() }
    }

    /// Returns whether every client's view follows from the lists as it did with `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.policy.generation() == other.policy.generation() && self.entries == other.entries
    }

    /// Returns what this client may see of the listing that this access belongs to.
    pub fn view(&self, listing: &Listing, client: &Requester<'_>) -> Arc<Listing> {
        let client_rules = self.policy.client_rules(client);
        let mut views = self.views.lock();
        if let Some(view) = views.get(&*client_rules) {
            return Arc::clone(view);
        }
        if views.len() >= MAX_KEPT {
            views.clear();
        }
        let view = Arc::new(self.make(listing, &client_rules));
        views.insert((*client_rules).clone(), Arc::clone(&view));
        view
    }

    fn make(&self, listing: &Listing, client_rules: &ClientRules) -> Listing {
        let shows =
            |kind, rules: &RuleSet| self.policy.decide(Some(kind), client_rules, rules, None).is_shown();
        let lists = ListKind::ALL.map(|kind| {
            let (list, rules) = (listing.list(kind), &self.entries[kind as usize]);
            let subject = SubjectKind::of(Some(kind.entry())).unwrap_or(SubjectKind::Method);
            let is_seen = |at: usize| {
                rules.get(at).is_some_and(|groups| groups.iter().any(|rules| shows(subject, rules)))
            };
            EntryListing { entries: list.entries.filter(is_seen), hints: list.hints }
        });
        let is_heard =
            |server: &&ServerAccess| server.rules.iter().any(|(subject, rules)| shows(*subject, rules));
        let servers = self.servers.iter().filter(is_heard);
        Listing {
            lists,
            introduction: Introduction::of(servers.map(|server| (server.backend.as_str(), &*server.facts))),
            completeness: listing.completeness,
            access: None,
            is_personal: true,
        }
    }
}

impl fmt::Debug for ListingAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListingAccess").field("policy", &self.policy.generation()).finish_non_exhaustive()
    }
}

impl PartialEq for ListingAccess {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for ListingAccess {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_list_holds_as_long_as_its_shortest_part_and_not_at_all_while_more_is_expected() {
        let now = Instant::now();
        let ttl = |tools: usize, ttl_ms, completeness| {
            let hints = ListHints { ttl_ms, private: false };
            let entries = EntryArray::new((0..tools).map(|_| ("a", "{}")));
            let mut listing = Listing { completeness, ..Listing::default() };
            listing.lists[0] = EntryListing { entries, hints };
            listing.ttl_ms(ListKind::Tools, 60, now)
        };
        let later = Completeness::Until(now + Duration::from_secs(1));
        for (tools, hint, completeness, expected) in [
            (1, None, Completeness::Complete, 60),
            (1, Some(5), Completeness::Complete, 5),
            (1, Some(0), Completeness::Complete, 0),
            (1, Some(99), Completeness::Complete, 60),
            (0, Some(5), Completeness::Complete, 0),
            (1, None, later, 0),
            (1, None, Completeness::Until(now), 60),
            (1, Some(5), Completeness::Incomplete, 0),
        ] {
            assert_eq!(ttl(tools, hint, completeness), expected, "{tools} {hint:?} {completeness:?}");
        }
    }
}
