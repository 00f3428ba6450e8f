//! The directory: which slaves offer which tool, prompt and resource. Rebuilt when slaves, catalogs, codes or routes change, then read
//! without locks. Must not know calls.
//!
//! Slaves of one domain that offer a tool with the same name and input schema are one pool. Who owns a name and how others are shown
//! is decided in `ownership`, and always reported.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use front::calls::{Completeness, EntryListing, Listing};
use front::{EntryRules, Introduction, ListingAccess, ServerAccess};
use policy::{Policy, Requester, RuleSet, Subject, SubjectKind};
use protocol::mcp::catalog::{CatalogEntry, CatalogServer, ListHints, ListKind};
use protocol::mcp::entry_array::{EntryArray, OwnedEntry};
use protocol::mcp::kind::Kind;
use protocol::mcp::uri_template;
use serde_json::value::RawValue;

use super::by_kind::ByKind;
use super::listed::{Conflict, Listed};
use super::ownership::{self, Group};
use super::permission::{PoolAccess, ToolRules};
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
    /// `POLICY`.
    policy: Option<Arc<Policy>>,
}

/// An entry as clients are shown it.
struct ShownEntry {
    name: String,
    /// The slave whose texts are shown.
    slave: String,
    definition: Box<RawValue>,
    /// Rules of the policy about it, once for each group of slaves.
    rules: EntryRules,
}

impl ShownEntry {
    fn owned(&self) -> OwnedEntry<'_> {
        OwnedEntry { owner: &self.slave, name: &self.name, definition: self.definition.get() }
    }
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

    /// Returns the pool of an entry of a list.
    pub(super) fn entry(&self, kind: Kind, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(kind, name)
    }

    /// Returns the pool of what a request names. A resource that no list has belongs to the tools whose user interface it is, else to the first
    /// template that it matches, else to the only owner of resources; a request that names nothing belongs to the owner of its method.
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
        let exact = exact.or_else(|| self.unnamed.interface(name));
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

    /// Returns the policy.
    pub(super) fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// Returns whether the policy may let a client know of an entry of this name that is not there at present.
    pub(super) fn may_know<'c>(
        &self,
        kind: Kind,
        name: &str,
        client: impl FnOnce() -> Requester<'c>,
    ) -> bool {
        let Some(policy) = &self.policy else { return true };
        let kind = SubjectKind::of(Some(kind));
        kind.is_none_or(|kind| {
            policy.may_know(&policy.client_rules(&client()), &Subject::named(kind, name, name))
        })
    }

    /// Explains why there is no such entry. With a policy nothing is said of entries that the client may not know of.
    pub(super) fn explain(&self, kind: Kind, name: &str) -> String {
        if self.policy.is_some() {
            return name.to_owned();
        }
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
        let ready = ready::ready(slaves, Instant::now());
        let offers = ready::offers(&ready, settings.precedence, &before.schemas);
        let owned = ownership::assign(&offers.list, settings.precedence, settings.policies.conflict);
        let mut directory = Self {
            // A slave that comes back after it was found not ready is none of either: it must not pass for one that drains.
            any_slave: !ready.is_empty() || slaves.iter().any(|slave| slave.is_draining()),
            any_ready: !ready.is_empty(),
            catalogs_due: slaves.iter().filter_map(|slave| slave.catalog_deadline()).max(),
            policy: settings.policy.map(Arc::clone),
            ..Self::default()
        };
        let conflicts = owned.collisions.iter();
        directory.conflicts = conflicts
            .map(|((kind, name), collision)| Conflict::new(*kind, name, collision, &offers.list))
            .collect();
        let mut groups = owned.groups;
        groups.sort_by_cached_key(|group| place(group, &offers));
        let mut shown: HashMap<Kind, Vec<ShownEntry>> = HashMap::new();
        for group in groups {
            let kind = group.kind;
            if let Some(entry) = directory.add(group, &offers, settings, before) {
                shown.entry(kind).or_default().push(entry);
            }
        }
        let is_listed = |uri: &str| directory.pools.get(Kind::Resource, uri).is_some();
        directory.unnamed =
            unnamed::build(&ready, settings, &before.unnamed, &|| directory.tool_rules(), &is_listed);
        directory.schemas = offers.schemas;
        let shown = ListKind::ALL.map(|kind| shown.remove(&kind.entry()).unwrap_or_default());
        let lists = ListKind::ALL.map(|kind| {
            let entries = shown[kind as usize].iter();
            let entries = EntryArray::owned(entries.map(ShownEntry::owned));
            let hints =
                ready.iter().map(|slave| slave.hints(kind)).reduce(ListHints::with).unwrap_or_default();
            EntryListing { entries, hints }
        });
        let completeness = directory.catalogs_due.map_or(Completeness::Complete, Completeness::Until);
        let access = settings.policy.map(|policy| {
            let rules = shown.map(|entries| entries.into_iter().map(|entry| entry.rules).collect());
            Arc::new(ListingAccess::new(Arc::clone(policy), rules, directory.server_access(&ready)))
        });
        let introduction = introduction(&ready);
        (directory, Listing { lists, introduction, completeness, access, is_personal: false })
    }

    /// Returns the rules about all tools.
    fn tool_rules(&self) -> ToolRules {
        let mut rules = ToolRules::default();
        for pool in self.pools.of_kind(Kind::Tool) {
            if let Some(access) = &pool.access {
                rules.add(&pool.own_name, access);
            }
        }
        rules
    }

    /// Returns the servers that speak for themselves, each with the rules about what its slave offers.
    fn server_access(&self, ready: &[Ready]) -> Vec<ServerAccess> {
        let pools: Vec<&Arc<Pool>> =
            Kind::ALL.into_iter().flat_map(|kind| self.pools.of_kind(kind)).collect();
        let of_slave = |slave: &Ready| {
            let mut rules: Vec<(SubjectKind, RuleSet)> = Vec::new();
            for (kind, set) in pools.iter().filter_map(|pool| pool.access.as_ref()?.rules_at(slave.slave())) {
                if !rules.iter().any(|(known, same)| *known == kind && same == set) {
                    rules.push((kind, set.clone()));
                }
            }
            rules
        };
        let access = |slave: &Ready| {
            let rules = of_slave(slave);
            let one = |server: &CatalogServer| ServerAccess {
                backend: server.backend.clone(),
                facts: Arc::clone(&server.facts),
                rules: rules.clone(),
            };
            slave.servers().iter().map(one).collect::<Vec<_>>()
        };
        by_name(ready).into_iter().flat_map(access).collect()
    }

    /// Adds a group as a pool, and returns the entry that clients are shown; `None` where it cannot be read.
    fn add(
        &mut self,
        group: Group,
        offers: &Offers<'_>,
        settings: &PoolSettings<'_>,
        before: &Self,
    ) -> Option<ShownEntry> {
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
        let names = [group.shown.as_str(), first.name];
        let access = settings.policy.map(|policy| PoolAccess::of_entry(policy, kind, names, &members));
        let rules = access.as_ref().map(PoolAccess::entry_rules).unwrap_or_default();
        let members: Vec<Arc<Slave>> = members.iter().map(|(slave, _)| Arc::clone(slave)).collect();
        // Requests name resources of a template, which the rules are to match.
        let by_template =
            |policy| PoolAccess::of_names(policy, SubjectKind::Resource, Some(&group.shown), members.iter());
        let access = if kind == Kind::Template { settings.policy.map(by_template) } else { access };
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
            access,
        };
        let pool = Arc::new(Pool::new(parts, settings));
        if kind == Kind::Template {
            self.templates.push((group.shown.clone(), Arc::clone(&pool)));
        }
        self.pools.insert(kind, group.shown.clone(), pool);
        Some(ShownEntry { name: group.shown, slave: first.slave.to_owned(), definition, rules })
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
    let servers = by_name(ready).into_iter().flat_map(Ready::servers);
    Introduction::of(servers.map(|server| (server.backend.as_str(), &*server.facts)))
}

fn by_name(ready: &[Ready]) -> Vec<&Ready> {
    let mut slaves: Vec<&Ready> = ready.iter().collect();
    slaves.sort_by(|one, other| one.slave().name.cmp(&other.slave().name));
    slaves
}

/// Returns the place of a group in the list: by the name of the slave whose texts are shown, then by the position there.
fn place<'a>(group: &Group, offers: &Offers<'a>) -> (Kind, &'a str, usize, String) {
    let first = group.members.first().and_then(|number| offers.list.get(*number));
    let (slave, position) = first.map_or(("", 0), |offer| (offer.slave, offer.position));
    (group.kind, slave, position, group.shown.clone())
}

#[cfg(test)]
mod tests;
