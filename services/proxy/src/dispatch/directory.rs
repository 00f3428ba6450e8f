//! The directory: which slaves offer which tool, prompt and resource. Rebuilt when slaves, catalogs, codes or routes change, then read
//! without locks. Must not know calls.
//!
//! Slaves of one domain that offer a tool with the same name and input schema are one pool. Who owns a name and how others are shown
//! is decided in `ownership`, and always reported.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::Introduction;
use front::calls::{Completeness, EntryListing, Listing};
use protocol::mcp::catalog::{CatalogEntry, ListHints, ListKind};
use protocol::mcp::entry_array::EntryArray;
use protocol::mcp::kind::Kind;
use protocol::mcp::uri_template;
use serde_json::value::RawValue;

use super::by_kind::ByKind;
use super::listed::{Conflict, Listed};
use super::ownership::{self, Group};
use super::pool::{Pool, PoolParts, PoolSettings};
use super::ready::{self, Offers, Ready, Schemas};
use super::unnamed::{self, UnnamedPools};
use super::withheld::Withheld;
use super::{retry, shown};
use crate::balance::outliers::OutlierDetector;
use crate::config::EjectionPolicy;
use crate::links::Slave;

/// All that slaves offer, by the clients' names.
#[derive(Default)]
pub(super) struct Directory {
    pools: ByKind<Arc<Pool>>,
    /// Resource templates, in the order of the list.
    templates: Vec<(String, Arc<Pool>)>,
    /// Pools of requests that name no entry.
    unnamed: UnnamedPools,
    /// The tools as clients see them, in the order of the list.
    listed: Vec<Listed>,
    /// Names that are not shown as all their slaves wrote them, in the order of the names.
    conflicts: Vec<Conflict>,
    schemas: Schemas,
    withheld: Withheld,
    /// Whether any slave is linked.
    pub(super) any_slave: bool,
    /// Whether any slave takes calls, rather than drains.
    pub(super) any_ready: bool,
    /// When the last catalog of the linked slaves that have not sent one is due.
    catalogs_due: Option<Instant>,
}

impl Directory {
    /// Returns until when the catalog of a linked slave that has not sent its own is waited for; `None`: every catalog is there.
    pub(super) fn catalogs_due(&self, now: Instant) -> Option<Instant> {
        self.catalogs_due.filter(|due| now < *due)
    }

    /// Remembers for this time what `before` offered and this directory does not, because the slaves drain or are lost.
    pub(super) fn withhold(&mut self, before: &Self, grace: Duration, now: Instant) {
        self.withheld = Withheld::after(&self.pools, &before.pools, &before.withheld, grace, now);
    }

    /// Returns whether the slaves that offered an entry only drain, or were lost a short time ago.
    pub(super) fn is_withheld(&self, kind: Kind, name: &str, now: Instant) -> bool {
        self.withheld.has(kind, name, now)
    }

    /// Returns the pool of a tool by the clients' name.
    pub(super) fn tool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(Kind::Tool, name)
    }

    /// Returns the pool of what a request names. A resource that no list has belongs to the first template that it matches, else to the only
    /// owner of resources; a request that names nothing belongs to the owner of its method.
    pub(super) fn find(&self, kind: Option<Kind>, name: &str) -> Option<&Arc<Pool>> {
        let Some(kind) = kind else { return self.unnamed.of_method(name) };
        if kind == Kind::Task {
            return self.unnamed.tasks();
        }
        let exact = self.pools.get(kind, name);
        if !matches!(kind, Kind::Resource | Kind::Template) {
            return exact;
        }
        let other = if kind == Kind::Resource { Kind::Template } else { Kind::Resource };
        let exact = exact.or_else(|| self.pools.get(other, name));
        let by_template =
            || self.templates.iter().find(|(template, _)| uri_template::matches(template, name));
        exact.or_else(|| by_template().map(|(_, pool)| pool)).or_else(|| self.unnamed.resources())
    }

    /// Returns the pool that a call of this name and of the pool `before` belongs to now: the one of that name, if it is the same
    /// provider's, else the one that shows the same under another name.
    pub(super) fn successor(&self, name: &str, before: &Pool) -> Option<&Arc<Pool>> {
        let named = self.find(before.kind, name).filter(|pool| pool.provider == before.provider);
        let same = |pool: &&Arc<Pool>| pool.provider == before.provider && pool.schema == before.schema;
        let elsewhere = || self.pools.of_kind(before.kind?).find(same).filter(|_| before.schema.is_some());
        named.or_else(elsewhere)
    }

    /// Explains why there is no such entry.
    pub(super) fn explain(&self, kind: Kind, name: &str) -> String {
        let found =
            self.conflicts.iter().find(|conflict| conflict.name == name && conflict.kind == kind.as_str());
        found.map_or_else(|| name.to_owned(), Conflict::explain)
    }

    /// Returns the tools as clients see them, in the order of the list.
    pub(super) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Returns the names that are not shown as all their slaves wrote them.
    pub(super) fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Builds the directory of all ready slaves and the list of tools for clients. `before` is the directory until now,
    /// whose outlier detectors are kept.
    pub(super) fn build(
        slaves: &[Arc<Slave>],
        settings: &PoolSettings<'_>,
        before: &Self,
    ) -> (Self, Listing) {
        let ready = ready::ready(slaves);
        let offers = ready::offers(&ready, settings.precedence, &before.schemas);
        let owned = ownership::assign(&offers.list, settings.precedence, settings.policies.conflict);
        let mut directory = Self {
            // A slave that comes back after it was found not ready is none of either: it must not pass for one that drains.
            any_slave: !ready.is_empty() || slaves.iter().any(|slave| slave.is_draining()),
            any_ready: !ready.is_empty(),
            catalogs_due: slaves.iter().filter_map(|slave| slave.catalog_deadline()).max(),
            ..Self::default()
        };
        let conflicts = owned.collisions.iter();
        directory.conflicts = conflicts
            .map(|((kind, name), collision)| Conflict::new(*kind, name, collision, &offers.list))
            .collect();
        let mut groups = owned.groups;
        groups.sort_by_cached_key(|group| place(group, &offers));
        let mut shown: HashMap<Kind, Vec<(String, Box<RawValue>)>> = HashMap::new();
        for group in groups {
            let (kind, name) = (group.kind, group.shown.clone());
            if let Some(definition) = directory.add(group, &offers, settings, before) {
                shown.entry(kind).or_default().push((name, definition));
            }
        }
        directory.unnamed = unnamed::build(&ready, settings, &before.unnamed);
        directory.schemas = offers.schemas;
        let lists = ListKind::ALL.map(|kind| {
            let entries = shown.remove(&kind.entry()).unwrap_or_default();
            let entries = EntryArray::new(entries.iter().map(|(name, json)| (name.as_str(), json.get())));
            let hints =
                ready.iter().map(|slave| slave.hints(kind)).reduce(ListHints::with).unwrap_or_default();
            EntryListing { entries, hints }
        });
        let completeness = directory.catalogs_due.map_or(Completeness::Complete, Completeness::Until);
        (directory, Listing { lists, introduction: introduction(&ready), completeness })
    }

    /// Adds a group as a pool, and returns the definition that clients are shown; `None` where it cannot be read.
    fn add(
        &mut self,
        group: Group,
        offers: &Offers<'_>,
        settings: &PoolSettings<'_>,
        before: &Self,
    ) -> Option<Box<RawValue>> {
        let members: Vec<(&Arc<Slave>, &CatalogEntry)> =
            group.members.iter().filter_map(|number| offers.of.get(*number).copied()).collect();
        let entries: Vec<&CatalogEntry> = members.iter().map(|(_, entry)| *entry).collect();
        let first = offers.list.get(*group.members.first()?)?;
        let kind = group.kind;
        let definition = match shown::definition(kind, &entries, &group.shown) {
            Ok(definition) => definition,
            Err(error) => {
                let (kind, name) = (kind.as_str(), first.name);
                tracing::warn!(kind, name, "Left out, the definition cannot be read: {error}");
                return None;
            }
        };
        let members: Vec<Arc<Slave>> = members.iter().map(|(slave, _)| Arc::clone(slave)).collect();
        let is_tool = kind == Kind::Tool;
        self.listed.extend(is_tool.then(|| Listed {
            name: group.shown.clone(),
            own_name: first.name.to_owned(),
            owner: first.identity.to_string(),
            slave: first.slave.to_owned(),
            slaves: members.len(),
        }));
        let outliers = before.outliers(kind, &group.shown, settings.policies.ejection);
        outliers.retain(|slot| members.iter().any(|slave| slave.host_slot() == slot));
        let parts = PoolParts {
            kind: Some(kind),
            method: method_of(kind),
            own_name: first.name,
            shown_name: &group.shown,
            domain: &first.domain,
            schema: first.schema,
            members,
            outliers,
            max_retries: retry::max_retries(settings.policies.retry, kind, &entries),
        };
        let pool = Arc::new(Pool::new(parts, settings));
        if kind == Kind::Template {
            self.templates.push((group.shown.clone(), Arc::clone(&pool)));
        }
        self.pools.insert(kind, group.shown, pool);
        Some(definition)
    }

    /// Returns the detector of an entry's pool, or a new one.
    fn outliers(&self, kind: Kind, name: &str, ejection: EjectionPolicy) -> Arc<OutlierDetector> {
        let known = self.pools.get(kind, name).map(|pool| Arc::clone(&pool.outliers));
        known.unwrap_or_else(|| Arc::new(OutlierDetector::new(ejection)))
    }
}

/// Returns the method by which requests for entries of this kind are counted.
fn method_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "tools/call",
        Kind::Prompt => "prompts/get",
        Kind::Resource | Kind::Template => "resources/read",
        Kind::Task => "tasks/get",
    }
}

/// Computes what the server says of itself. Slaves are in the order of their names, so that each replica says the same.
fn introduction(ready: &[Ready]) -> Introduction {
    let mut slaves: Vec<&Ready> = ready.iter().collect();
    slaves.sort_by(|one, other| one.slave().name.cmp(&other.slave().name));
    let servers = slaves.into_iter().flat_map(Ready::servers);
    Introduction::of(servers.map(|server| (server.backend.as_str(), &*server.facts)))
}

/// Returns the place of a group in the list: by the name of the slave whose texts are shown, then by the position there.
fn place<'a>(group: &Group, offers: &Offers<'a>) -> (Kind, &'a str, usize, String) {
    let first = group.members.first().and_then(|number| offers.list.get(*number));
    let (slave, position) = first.map_or(("", 0), |offer| (offer.slave, offer.position));
    (group.kind, slave, position, group.shown.clone())
}

#[cfg(test)]
mod tests;
