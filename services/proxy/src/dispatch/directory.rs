//! Which tool names lead to which slaves. Built anew when slaves or catalogs change, then read without locks.
//!
//! The same definition under one name is one pool. Different definitions are a collision: namespaced or refused by
//! `TOOL_CONFLICT`, always reported (DESIGN.md §7).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use front::calls::Listing;
use protocol::mcp::catalog::{Catalog, CatalogEntry};
use protocol::mcp::tool_list::tool_list;

use super::balance::Balance;
use super::calls::Policies;
use super::limits::Limits;
use super::names;
use crate::config::ToolConflict;
use crate::links::{Pace, Slave};
use crate::metrics::CallMeter;
use crate::outliers::{Outliers, Policy};
use crate::routes::{PoolRoutes, Routes};

/// The slaves that share the calls of one tool.
pub(super) struct Pool {
    /// They all offer the same definition.
    pub(super) members: Arc<[Arc<Slave>]>,
    /// Which of them a call may go to.
    pub(super) routes: PoolRoutes,
    /// The slaves' own name of the tool, where clients know it by another.
    pub(super) own_name: Arc<str>,
    pub(super) meter: CallMeter,
    /// How often one call may be run again.
    pub(super) repeats: u8,
    /// Members that fail by a fault of what runs the tool.
    pub(super) outliers: Arc<Outliers>,
    /// How its calls are shared out.
    pub(super) balance: Balance,
    /// How often it may be called.
    pub(super) limit: Option<Arc<Pace>>,
}

/// Everything on offer.
#[derive(Default)]
pub(super) struct Directory {
    pools: HashMap<String, Arc<Pool>>,
    /// Colliding names, and what to call instead.
    conflicts: BTreeMap<String, Vec<String>>,
    /// Whether any slave is linked.
    pub(super) any_slave: bool,
    /// Slaves are linked that have not said yet what they offer: it is waited for until then.
    awaited_until: Option<Instant>,
}

/// What the operator decided.
pub(super) struct Rules<'a> {
    pub(super) routes: &'a Routes,
    pub(super) policies: &'a Policies,
    pub(super) limits: &'a Limits,
}

/// One definition and the slaves that offer it.
struct Group<'a> {
    offer: &'a CatalogEntry,
    members: Vec<Arc<Slave>>,
}

impl Pool {
    /// `name` is the slaves' own, `shown` the clients'.
    fn new(
        (name, shown): (&str, &str),
        members: Vec<Arc<Slave>>,
        (rules, outliers, repeats): (&Rules<'_>, Arc<Outliers>, u8),
    ) -> Self {
        let Rules { routes, policies, limits } = rules;
        let names = [shown, name];
        let members: Arc<[Arc<Slave>]> = members.into();
        Self {
            routes: PoolRoutes::new(routes, names, &members),
            balance: Balance::new((routes, policies.balance.queue), names, &members),
            limit: limits.of_tool((routes, &policies.balance), names),
            members,
            own_name: name.into(),
            meter: CallMeter::new(shown),
            outliers,
            repeats,
        }
    }
}

impl Directory {
    /// Whether a linked slave has not said yet what it offers.
    pub(super) fn is_incomplete(&self, now: Instant) -> bool {
        self.awaited_until.is_some_and(|until| now < until)
    }

    /// The pool of a tool as clients name it.
    pub(super) fn pool(&self, tool: &str) -> Option<&Arc<Pool>> {
        self.pools.get(tool)
    }

    /// Why there is no such tool, as far as that is known.
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

    /// Colliding names with their replacements.
    pub(super) fn conflicts(&self) -> &BTreeMap<String, Vec<String>> {
        &self.conflicts
    }

    /// What is known of the members of this tool, also if they change.
    fn outliers(&self, tool: &str, ejection: Policy) -> Arc<Outliers> {
        let known = self.pools.get(tool).map(|pool| Arc::clone(&pool.outliers));
        known.unwrap_or_else(|| Arc::new(Outliers::new(ejection)))
    }

    /// Puts the offers of all ready slaves together, and what `tools/list` says of them. `before` is what was known
    /// until now.
    pub(super) fn build(slaves: &[Arc<Slave>], rules: &Rules<'_>, before: &Self) -> (Self, Listing) {
        let policies = rules.policies;
        let ready: Vec<(Arc<Slave>, Arc<Catalog>)> = slaves
            .iter()
            .filter(|slave| slave.is_ready())
            .map(|slave| (Arc::clone(slave), slave.catalog()))
            .collect();
        let mut directory = Self {
            any_slave: slaves.iter().any(|slave| slave.is_linked()),
            awaited_until: slaves.iter().filter_map(|slave| slave.awaited_until()).max(),
            ..Self::default()
        };
        let mut listed: BTreeMap<String, String> = BTreeMap::new();
        for (name, groups) in group(&ready) {
            let alone = groups.len() == 1;
            if !alone && policies.conflict == ToolConflict::Refuse {
                directory.conflicts.insert(name.to_owned(), Vec::new());
                continue;
            }
            for group in groups {
                let shown = if alone { name.to_owned() } else { group.namespaced(name) };
                if !alone {
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
                let outliers = before.outliers(&shown, policies.ejection);
                outliers.retain(|place| group.members.iter().any(|slave| slave.place() == place));
                let repeats = policies.repeat.allowance(&group.offer.definition);
                let pool = Pool::new((name, &shown), group.members, (rules, outliers, repeats));
                directory.pools.insert(shown, Arc::new(pool));
            }
        }
        let listing =
            Listing { tool_count: listed.len(), tools: tool_list(listed.values().map(String::as_str)) };
        (directory, listing)
    }
}

fn group(ready: &[(Arc<Slave>, Arc<Catalog>)]) -> BTreeMap<&str, Vec<Group<'_>>> {
    let mut by_name: BTreeMap<&str, Vec<Group<'_>>> = BTreeMap::new();
    for (slave, catalog) in ready {
        for offer in &catalog.tools {
            let groups = by_name.entry(&offer.name).or_default();
            match groups.iter_mut().find(|group| group.offer.same_definition(offer)) {
                Some(group) => group.members.push(Arc::clone(slave)),
                None => groups.push(Group { offer, members: vec![Arc::clone(slave)] }),
            }
        }
    }
    by_name
}

impl Group<'_> {
    /// Prefixed by the first of its slaves' names, so that the order of connecting makes no difference.
    fn namespaced(&self, tool: &str) -> String {
        let first = self.members.iter().map(|slave| slave.name.as_str()).min().unwrap_or_default();
        names::namespaced(first, tool)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::link::handshake::{PROTOCOL_NAME, SlaveHello};
    use protocol::link::limits::LinkLimits;

    use super::*;
    use crate::dispatch::Repeat;

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
        let ejection = Policy { after: 5, base: std::time::Duration::from_secs(10) };
        let policies = Policies {
            conflict: policy,
            ejection,
            repeat: Repeat::Never,
            balance: crate::config::BalanceConfig::for_test(),
        };
        let (routes, limits) = (Routes::default(), Limits::default());
        let rules = Rules { routes: &routes, policies: &policies, limits: &limits };
        Directory::build(slaves, &rules, &Directory::default())
    }

    #[test]
    fn the_same_definition_is_one_pool() {
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
