//! Ownership of names: which offers are one pool, which of them owns its literal name, and how the others are shown.
//!
//! The result follows from the offers and the configuration alone, never from the order of the offers, so that every replica of
//! the proxy shows the same (docs/PROTOCOL.md, "Catalog, names, owners"). Must not know slaves' links or calls.

use std::collections::{BTreeMap, HashSet};

use protocol::mcp::kind::Kind;
use protocol::mcp::shown_name;

use super::offer::Offer;
use crate::access::{PoolDomain, Precedence, TrustDomain};
use crate::config::ToolConflict;

/// How often another hash is tried for a name that is taken.
const MAX_SALTS: usize = 8;

/// Offers that are one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) kind: Kind,
    /// The clients' name.
    pub(super) shown: String,
    /// Numbers of the offers, by precedence: the shown texts are those of the first.
    pub(super) members: Vec<usize>,
}

/// Why a name is not shown as each of its providers wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Slaves offer different tools under it.
    Differs,
    /// The code with this name provides it exclusively.
    Exclusive(String),
    /// It is another tool's shown name.
    Taken,
}

/// A name that is not shown as each of its providers wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collision {
    pub(super) reason: Reason,
    /// The names to be called.
    pub(super) shown: Vec<String>,
    /// Numbers of the offers that are left out.
    pub(super) left_out: Vec<usize>,
}

/// The names of all offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) groups: Vec<Group>,
    pub(super) collisions: BTreeMap<(Kind, String), Collision>,
}

/// Names the offers.
pub(super) fn assign(offers: &[Offer<'_>], precedence: &Precedence, conflict: ToolConflict) -> Ownership {
    let mut by_name: BTreeMap<(Kind, &str), Vec<usize>> = BTreeMap::new();
    for (number, offer) in offers.iter().enumerate() {
        by_name.entry((offer.kind, offer.name)).or_default().push(number);
    }
    let mut names: Vec<_> = by_name.into_iter().collect();
    // A derived name is longer than the literal one, unless it was cut: a literal name that equals one comes later, and is refused.
    names.sort_by_key(|((kind, name), _)| (*kind, name.len(), *name));
    let mut naming =
        Naming { offers, precedence, conflict, taken: HashSet::new(), result: Ownership::default() };
    for ((kind, name), mut members) in names {
        members.sort_by(|one, other| offers[*one].precedence(&offers[*other]));
        naming.name(kind, name, &members);
    }
    naming.result
}

struct Naming<'a> {
    offers: &'a [Offer<'a>],
    precedence: &'a Precedence,
    conflict: ToolConflict,
    taken: HashSet<(Kind, String)>,
    result: Ownership,
}

impl Naming<'_> {
    /// Names the offers of one literal name, given by precedence.
    fn name(&mut self, kind: Kind, name: &str, members: &[usize]) {
        if self.taken.contains(&(kind, name.to_owned())) {
            let collision =
                Collision { reason: Reason::Taken, shown: Vec::new(), left_out: members.to_vec() };
            self.result.collisions.insert((kind, name.to_owned()), collision);
            return;
        }
        let mut groups = self.pools(members);
        let exclusive = self.precedence.exclusive(name).filter(|_| kind == Kind::Tool);
        let owner = self.take_owner(&mut groups, exclusive);
        let collides = !groups.is_empty();
        if !collides {
            if let Some(owner) = owner {
                self.show(kind, name.to_owned(), owner);
            }
            return;
        }
        let reason = exclusive.map_or(Reason::Differs, |code| Reason::Exclusive(code.to_owned()));
        let mut collision = Collision { reason, shown: Vec::new(), left_out: Vec::new() };
        match owner {
            Some(owner) if exclusive.is_some() || self.conflict == ToolConflict::Namespace => {
                collision.shown.push(name.to_owned());
                self.show(kind, name.to_owned(), owner);
            }
            owner => collision.left_out.extend(owner.into_iter().flatten()),
        }
        // Codes with a name come first: what a slave calls itself takes no name from them.
        groups.sort_by_key(|group| self.offers[group[0]].domain == PoolDomain::Own(TrustDomain::List));
        for group in groups {
            match self.free_name(kind, &self.offers[group[0]]) {
                Some(shown) if self.conflict == ToolConflict::Namespace => {
                    collision.shown.push(shown.clone());
                    self.show(kind, shown, group);
                }
                _ => collision.left_out.extend(group),
            }
        }
        self.result.collisions.insert((kind, name.to_owned()), collision);
    }

    /// Groups offers of one name that are one tool; each group, and the groups by their first members, by precedence.
    fn pools(&self, members: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &number in members {
            let offer = &self.offers[number];
            match groups.iter_mut().find(|group| self.offers[group[0]].pools_with(offer)) {
                Some(group) => group.push(number),
                None => groups.push(vec![number]),
            }
        }
        groups
    }

    /// Takes the group that owns the literal name out of the others. `exclusive`: the code whose name it is.
    fn take_owner(&self, groups: &mut Vec<Vec<usize>>, exclusive: Option<&str>) -> Option<Vec<usize>> {
        let place = match exclusive {
            Some(code) => {
                groups.iter().position(|group| self.offers[group[0]].identity.name() == Some(code))?
            }
            None => 0,
        };
        Some(groups.remove(place))
    }

    fn show(&mut self, kind: Kind, shown: String, members: Vec<usize>) {
        self.taken.insert((kind, shown.clone()));
        self.result.groups.push(Group { kind, shown, members });
    }

    /// Returns a name for a group that does not own its literal one. `None`: everything is taken.
    fn free_name(&self, kind: Kind, first: &Offer<'_>) -> Option<String> {
        // A URI cannot be another's.
        if matches!(kind, Kind::Resource | Kind::Template) {
            return None;
        }
        let code = first.identity.name();
        let plain =
            code.into_iter().chain([first.slave]).map(|provider| shown_name::derived(provider, first.name));
        let salted = (0..MAX_SALTS).map(|salt| {
            shown_name::derived_apart(
                code.unwrap_or(first.slave),
                first.name,
                &format!("{salt} {}", first.salt()),
            )
        });
        plain.chain(salted).find(|name| self.is_free(kind, name, code))
    }

    /// Returns whether a derived name is neither taken nor promised to somebody in the configuration.
    fn is_free(&self, kind: Kind, name: &str, code: Option<&str>) -> bool {
        let is_promised = || {
            self.precedence.is_provided(name)
                || self.precedence.exclusive(name).is_some_and(|owner| Some(owner) != code)
        };
        let is_taken = self.taken.contains(&(kind, name.to_owned()));
        !is_taken && (kind != Kind::Tool || !is_promised())
    }
}

#[cfg(test)]
mod tests;
