//! The directory of tools: which slaves offer which tool. Rebuilt when slaves, catalogs, codes or routes change, then read without
//! locks. Must not know calls.
//!
//! Slaves of one domain that offer a tool with the same name and input schema are one pool. Who owns a name and how others are shown
//! is decided in `ownership`, and always reported.

use std::sync::Arc;
use std::time::{Duration, Instant};

use front::calls::{Completeness, Listing};
use protocol::mcp::catalog::{CatalogEntry, ListHints};
use protocol::mcp::kind::Kind;
use protocol::mcp::tool_list::tool_list;
use serde_json::value::RawValue;

use super::by_kind::ByKind;
use super::listed::{Conflict, Listed};
use super::ownership::{self, Group};
use super::pool::{Pool, PoolParts, PoolSettings};
use super::ready::{self, Offers, Ready, Schemas};
use super::withheld::Withheld;
use super::{retry, shown};
use crate::balance::outliers::OutlierDetector;
use crate::config::EjectionPolicy;
use crate::links::Slave;

/// All tools that slaves offer, by the clients' names.
#[derive(Default)]
pub(super) struct Directory {
    pools: ByKind<Arc<Pool>>,
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

    /// Remembers for this time the tools that `before` offered and this directory does not, because their slaves drain or are lost.
    pub(super) fn withhold(&mut self, before: &Self, grace: Duration, now: Instant) {
        self.withheld = Withheld::after(&self.pools, &before.pools, &before.withheld, grace, now);
    }

    /// Returns whether the slaves that offered a tool only drain, or were lost a short time ago.
    pub(super) fn is_withheld(&self, tool: &str, now: Instant) -> bool {
        self.withheld.has(tool, now)
    }

    /// Returns the pool of a tool by the clients' name.
    pub(super) fn pool(&self, tool: &str) -> Option<&Arc<Pool>> {
        self.pools.get(Kind::Tool, tool)
    }

    /// Returns the pool that a call of this tool and of the pool `before` belongs to now: the one of that name, if it is the same
    /// provider's, else the one that shows the same tool under another name.
    pub(super) fn successor(&self, tool: &str, before: &Pool) -> Option<&Arc<Pool>> {
        let named = self.pool(tool).filter(|pool| pool.provider == before.provider);
        let same = |pool: &&Arc<Pool>| pool.provider == before.provider && pool.schema == before.schema;
        named.or_else(|| self.pools.of_kind(Kind::Tool).find(same).filter(|_| before.schema.is_some()))
    }

    /// Explains why there is no such tool.
    pub(super) fn explain(&self, tool: &str) -> String {
        let found = self.conflicts.iter().find(|conflict| conflict.name == tool);
        found.map_or_else(|| tool.to_owned(), Conflict::explain)
    }

    /// Returns the tools as clients see them, in the order of the list.
    pub(super) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Returns the names that are not shown as all their slaves wrote them.
    pub(super) fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Returns what clients are listed before any slave was there.
    pub(super) fn empty_listing() -> Listing {
        Listing { tools: tool_list(std::iter::empty()), ..Listing::default() }
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
        let mut definitions = Vec::with_capacity(groups.len());
        for group in groups {
            definitions.extend(directory.add(group, &offers, settings, before));
        }
        directory.schemas = offers.schemas;
        let tools = tool_list(definitions.iter().map(|definition| definition.get()));
        let hints = ready.iter().map(Ready::hints).reduce(ListHints::with).unwrap_or_default();
        let completeness = directory.catalogs_due.map_or(Completeness::Complete, Completeness::Until);
        (directory, Listing { tool_count: definitions.len(), tools, hints, completeness })
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
        let definition = match shown::definition(&entries, &group.shown) {
            Ok(definition) => definition,
            Err(error) => {
                tracing::warn!(tool = first.name, "Tool left out, its definition cannot be read: {error}");
                return None;
            }
        };
        let members: Vec<Arc<Slave>> = members.iter().map(|(slave, _)| Arc::clone(slave)).collect();
        self.listed.push(Listed {
            name: group.shown.clone(),
            own_name: first.name.to_owned(),
            owner: first.identity.to_string(),
            slave: first.slave.to_owned(),
            slaves: members.len(),
        });
        let outliers = before.outliers(&group.shown, settings.policies.ejection);
        outliers.retain(|slot| members.iter().any(|slave| slave.host_slot() == slot));
        let parts = PoolParts {
            own_name: first.name,
            shown_name: &group.shown,
            domain: &first.domain,
            schema: first.schema,
            members,
            outliers,
            max_retries: retry::max_retries(settings.policies.retry, &entries),
        };
        let pool = Arc::new(Pool::new(parts, settings));
        self.pools.insert(group.kind, group.shown, pool);
        Some(definition)
    }

    /// Returns the detector of a tool's pool, or a new one.
    fn outliers(&self, tool: &str, ejection: EjectionPolicy) -> Arc<OutlierDetector> {
        let known = self.pool(tool).map(|pool| Arc::clone(&pool.outliers));
        known.unwrap_or_else(|| Arc::new(OutlierDetector::new(ejection)))
    }
}

/// Returns the place of a group in the list: by the name of the slave whose texts are shown, then by the position there.
fn place<'a>(group: &Group, offers: &Offers<'a>) -> (Kind, &'a str, usize, String) {
    let first = group.members.first().and_then(|number| offers.list.get(*number));
    let (slave, position) = first.map_or(("", 0), |offer| (offer.slave, offer.position));
    (group.kind, slave, position, group.shown.clone())
}

#[cfg(test)]
mod tests;
