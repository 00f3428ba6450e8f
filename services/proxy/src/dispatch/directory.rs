//! The directory of tools: which slaves offer which tool. Rebuilt when slaves or catalogs change, then read without locks.
//! Must not know calls.
//!
//! Slaves that offer the same definition under one name are one pool. Different definitions are a collision, which
//! `TOOL_CONFLICT` decides: namespaced or refused, and always logged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use front::calls::Listing;
use protocol::mcp::catalog::{Catalog, CatalogEntry};
use protocol::mcp::tool_list::tool_list;

use super::names;
use super::pool::{Pool, PoolParts, PoolSettings};
use super::retry;
use crate::balance::outliers::OutlierDetector;
use crate::config::EjectionPolicy;
use crate::config::ToolConflict;
use crate::links::Slave;

/// All tools that slaves offer, by the clients' names.
#[derive(Default)]
pub(super) struct Directory {
    pools: HashMap<String, Arc<Pool>>,
    /// Colliding names, with the names to be called instead.
    conflicts: BTreeMap<String, Vec<String>>,
    /// Whether any slave is linked.
    pub(super) any_slave: bool,
    /// When the last catalog of the linked slaves that have not sent one is due.
    catalogs_due: Option<Instant>,
}

/// A definition and the slaves that offer it.
struct Group<'a> {
    offer: &'a CatalogEntry,
    members: Vec<Arc<Slave>>,
}

impl Directory {
    /// Whether a linked slave has not sent its catalog yet.
    pub(super) fn is_incomplete(&self, now: Instant) -> bool {
        self.catalogs_due.is_some_and(|due| now < due)
    }

    /// Returns the pool of a tool by the clients' name.
    pub(super) fn pool(&self, tool: &str) -> Option<&Arc<Pool>> {
        self.pools.get(tool)
    }

    /// Explains why there is no such tool.
    pub(super) fn explain(&self, tool: &str) -> String {
        match self.conflicts.get(tool) {
            Some(names) if names.is_empty() => {
                format!(
                    "{tool}: slaves offer different tools under this name, and TOOL_CONFLICT=refuse lists none"
                )
            }
            Some(names) => {
                format!("{tool}: slaves offer different tools under this name; use {}", names.join(" or "))
            }
            None => tool.to_owned(),
        }
    }

    /// Returns colliding names, with the names to be called instead.
    pub(super) fn conflicts(&self) -> &BTreeMap<String, Vec<String>> {
        &self.conflicts
    }

    /// Returns the detector of a tool's pool, or a new one.
    fn outliers(&self, tool: &str, ejection: EjectionPolicy) -> Arc<OutlierDetector> {
        let known = self.pools.get(tool).map(|pool| Arc::clone(&pool.outliers));
        known.unwrap_or_else(|| Arc::new(OutlierDetector::new(ejection)))
    }

    /// Returns what clients are listed before any slave was there.
    pub(super) fn empty_listing() -> Listing {
        Listing { tools: tool_list(std::iter::empty()), tool_count: 0 }
    }

    /// Builds the directory of all ready slaves and the list of tools for clients. `before` is the directory until now,
    /// whose outlier detectors are kept.
    pub(super) fn build(
        slaves: &[Arc<Slave>],
        settings: &PoolSettings<'_>,
        before: &Self,
    ) -> (Self, Listing) {
        let ready = ready_catalogs(slaves);
        let mut directory = Self {
            any_slave: slaves.iter().any(|slave| slave.is_linked()),
            catalogs_due: slaves.iter().filter_map(|slave| slave.catalog_deadline()).max(),
            ..Self::default()
        };
        let mut listed: BTreeMap<String, String> = BTreeMap::new();
        for (name, groups) in group(&ready) {
            let is_unique = groups.len() == 1;
            if !is_unique && settings.policies.conflict == ToolConflict::Refuse {
                directory.conflicts.insert(name.to_owned(), Vec::new());
                continue;
            }
            for group in groups {
                let shown = if is_unique { name.to_owned() } else { group.namespaced(name) };
                if !is_unique {
                    directory.conflicts.entry(name.to_owned()).or_default().push(shown.clone());
                }
                let definition = match names::renamed(&group.offer.definition, &shown) {
                    Ok(definition) => definition,
                    Err(error) => {
                        tracing::warn!(tool = name, "Tool left out, its definition cannot be read: {error}");
                        continue;
                    }
                };
                listed.insert(shown.clone(), definition.get().to_owned());
                let pool = group.into_pool(&shown, settings, before);
                directory.pools.insert(shown, Arc::new(pool));
            }
        }
        let listing =
            Listing { tool_count: listed.len(), tools: tool_list(listed.values().map(String::as_str)) };
        (directory, listing)
    }
}

fn ready_catalogs(slaves: &[Arc<Slave>]) -> Vec<(Arc<Slave>, Arc<Catalog>)> {
    let ready = slaves.iter().filter(|slave| slave.accepts_calls());
    ready.map(|slave| (Arc::clone(slave), slave.catalog())).collect()
}

/// Groups the offers by name, and those of one name by definition.
fn group(ready: &[(Arc<Slave>, Arc<Catalog>)]) -> BTreeMap<&str, Vec<Group<'_>>> {
    let mut by_name: BTreeMap<&str, Vec<Group<'_>>> = BTreeMap::new();
    for (slave, catalog) in ready {
        for offer in &catalog.tools {
            let groups = by_name.entry(&offer.name).or_default();
            match groups.iter_mut().find(|group| group.offer.has_definition_of(offer)) {
                Some(group) => group.members.push(Arc::clone(slave)),
                None => groups.push(Group { offer, members: vec![Arc::clone(slave)] }),
            }
        }
    }
    by_name
}

impl Group<'_> {
    /// Returns the tool's name with the first of the slaves' names as a prefix, whatever the order of connecting.
    fn namespaced(&self, tool: &str) -> String {
        let first = self.members.iter().map(|slave| slave.name.as_str()).min().unwrap_or_default();
        names::namespaced(first, tool)
    }

    fn into_pool(self, shown: &str, settings: &PoolSettings<'_>, before: &Directory) -> Pool {
        let policies = settings.policies;
        let outliers = before.outliers(shown, policies.ejection);
        outliers.retain(|slot| self.members.iter().any(|slave| slave.host_slot() == slot));
        let parts = PoolParts {
            own_name: &self.offer.name,
            shown_name: shown,
            members: self.members,
            outliers,
            max_retries: retry::max_retries(policies.retry, &self.offer.definition),
        };
        Pool::new(parts, settings)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
    use protocol::link::limits::LinkLimits;

    use super::*;
    use crate::config::RetryPolicy;
    use crate::dispatch::policies::Policies;
    use crate::limits::table::RateLimits;
    use crate::routes::Routes;

    fn slave(key: u64, name: &str, tools: &str) -> Arc<Slave> {
        let hello = SlaveHello {
            name: PROTOCOL_NAME.into(),
            versions: vec![1],
            instance: format!("{key:016x}"),
            slave_name: name.into(),
            labels: BTreeMap::new(),
            capacity: 0,
            window: 65_536,
            agent: String::new(),
            ..SlaveHello::default()
        };
        Slave::for_test(&hello, key, LinkLimits::default(), Catalog::decode(tools.as_bytes()).unwrap())
    }

    fn names(listing: &Listing) -> Vec<String> {
        let tools: Vec<serde_json::Value> = serde_json::from_slice(&listing.tools).unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    fn build(slaves: &[Arc<Slave>], policy: ToolConflict) -> (Directory, Listing) {
        let ejection = EjectionPolicy { after: 5, base: std::time::Duration::from_secs(10) };
        let policies = Policies {
            conflict: policy,
            ejection,
            retry: RetryPolicy::Never,
            balance: crate::config::BalanceConfig::for_test(),
        };
        let (routes, limits) = (Routes::default(), RateLimits::default());
        let settings = PoolSettings { routes: &routes, policies: &policies, limits: &limits };
        Directory::build(slaves, &settings, &Directory::default())
    }

    #[test]
    fn slaves_with_the_same_definition_are_one_pool() {
        let one = slave(1, "a", r#"{"tools":[{"name":"t","x":{"p":1,"q":2}}]}"#);
        let two = slave(2, "b", r#"{"tools":[{"x":{"q":2,"p":1},"name":"t"},{"name":"u"}]}"#);
        let (directory, listing) = build(&[one, two], ToolConflict::Namespace);
        assert_eq!(names(&listing), ["t", "u"]);
        assert_eq!(directory.pool("t").unwrap().members.len(), 2);
        assert!(directory.conflicts().is_empty());
    }

    #[test]
    fn different_definitions_are_namespaced_or_refused() {
        let slaves = [
            slave(1, "b", r#"{"tools":[{"name":"t","v":1}]}"#),
            slave(2, "a", r#"{"tools":[{"name":"t","v":2}]}"#),
            slave(3, "c", r#"{"tools":[{"name":"t","v":1}]}"#),
        ];
        let (directory, listing) = build(&slaves, ToolConflict::Namespace);
        assert_eq!(names(&listing), ["a__t", "b__t"]);
        assert!(directory.pool("t").is_none());
        assert_eq!(&*directory.pool("b__t").unwrap().own_name, "t");
        assert_eq!(directory.pool("b__t").unwrap().members.len(), 2);
        assert!(directory.explain("t").contains("b__t or a__t"), "{}", directory.explain("t"));
        let (directory, listing) = build(&slaves, ToolConflict::Refuse);
        assert!(names(&listing).is_empty());
        assert!(directory.explain("t").contains("TOOL_CONFLICT=refuse"));
    }
}
