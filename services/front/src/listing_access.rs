//! Who may see which entry of the lists: what a client's own view of the lists is made by. Must not know requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::{Asker, Policy, Requester, RuleSet, SubjectKind};
use protocol::mcp::catalog::{ListKind, ServerFacts};

use crate::calls::{EntryListing, Listing};
use crate::introduction::Introduction;

/// Views that are kept; when there are more, all are made anew.
const MAX_KEPT: usize = 256;

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
    views: Mutex<HashMap<Asker, Arc<Listing>>>,
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
        let asker = self.policy.asker(client);
        let mut views = self.views.lock();
        if let Some(view) = views.get(&*asker) {
            return Arc::clone(view);
        }
        if views.len() >= MAX_KEPT {
            views.clear();
        }
        let view = Arc::new(self.make(listing, &asker));
        views.insert((*asker).clone(), Arc::clone(&view));
        view
    }

    fn make(&self, listing: &Listing, asker: &Asker) -> Listing {
        let shows = |kind, rules: &RuleSet| self.policy.decide(Some(kind), asker, rules, None).is_shown();
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
