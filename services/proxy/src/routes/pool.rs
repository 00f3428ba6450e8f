//! The rules that may be for one tool, with the slaves that each allows: worked out when the directory is built, so
//! that a call whose tool no rule is for costs nothing. Must not know which slave is chosen.

use std::sync::Arc;

use super::file::Routes;
use super::question::Question;
use super::rule::Rule;
use super::selector::Selector;
use crate::links::Slave;
use crate::metrics::RouteMeter;

/// Slaves in order of preference: the later ones only if none of the earlier can take the call.
pub(crate) type Tiers = Arc<[Arc<[Arc<Slave>]>]>;

/// What rules say about the calls of one pool.
pub(crate) struct PoolRoutes {
    applied: Vec<Applied>,
    /// One tier with all members: for calls without a rule.
    all: Tiers,
}

/// A rule that may be for the tool.
struct Applied {
    rule: Arc<Rule>,
    tiers: Tiers,
    meter: RouteMeter,
}

/// Where one call may go, and by which rule, so that it goes by the same again if it has to move.
#[derive(Clone)]
pub(crate) struct Route {
    rule: Option<Arc<Rule>>,
    /// The candidates.
    pub(crate) tiers: Tiers,
}

impl PoolRoutes {
    /// `names`: the tool's, as clients and as slaves call it.
    pub(crate) fn new(routes: &Routes, names: [&str; 2], members: &Arc<[Arc<Slave>]>) -> Self {
        let apply = |rule: &Arc<Rule>| Applied {
            rule: Arc::clone(rule),
            tiers: tiers(rule, members),
            meter: RouteMeter::new(&rule.name),
        };
        let applied = routes.rules.iter().filter(|rule| rule.is_for_tool(names)).map(apply).collect();
        Self { applied, all: Arc::new([Arc::clone(members)]) }
    }

    /// Any member, without a rule.
    #[cfg(test)]
    pub(crate) fn unruled(&self) -> Route {
        Route { rule: None, tiers: Arc::clone(&self.all) }
    }

    /// The first rule that is for this call.
    pub(crate) fn route(&self, call: &Question<'_>) -> Route {
        let Some(applied) = self.applied.iter().find(|applied| applied.rule.check(call).is_ok()) else {
            return Route { rule: None, tiers: Arc::clone(&self.all) };
        };
        applied.meter.record(applied.tiers.len());
        Route { rule: Some(Arc::clone(&applied.rule)), tiers: Arc::clone(&applied.tiers) }
    }

    /// By the same rule as before, among the members of now. The rule counts even if the file has changed meanwhile.
    pub(crate) fn again(&self, before: &Route) -> Route {
        let Some(rule) = &before.rule else { return Route { rule: None, tiers: Arc::clone(&self.all) } };
        let known = self.applied.iter().find(|applied| Arc::ptr_eq(&applied.rule, rule));
        let members = || self.all.iter().flat_map(|tier| tier.iter());
        let tiers = known.map_or_else(|| tiers_of(rule, members()), |applied| Arc::clone(&applied.tiers));
        Route { rule: Some(Arc::clone(rule)), tiers }
    }
}

impl Route {
    /// Tells the rule apart from other rules while either route exists; 0 without a rule.
    pub(crate) fn rule_number(&self) -> usize {
        self.rule.as_ref().map_or(0, |rule| Arc::as_ptr(rule).addr())
    }

    /// The rule's name and the labels that it wants, for a message; `None` without a rule.
    pub(crate) fn wanted(&self) -> Option<String> {
        self.rule.as_ref().map(|rule| format!("{} (rule {:?})", rule.wanted(), rule.name))
    }
}

fn tiers(rule: &Rule, members: &Arc<[Arc<Slave>]>) -> Tiers {
    tiers_of(rule, members.iter())
}

/// Each slave in the first tier that it is in; tiers without slaves are left out.
fn tiers_of<'a>(rule: &Rule, members: impl Iterator<Item = &'a Arc<Slave>>) -> Tiers {
    let mut left: Vec<&Arc<Slave>> = members.collect();
    let tiers = rule.tiers.iter().map(|tier| tier_of(tier, &mut left));
    tiers.filter(|tier| !tier.is_empty()).map(Arc::from).collect()
}

/// Takes those out of `left` that any of the selectors selects.
pub(super) fn tier_of(selectors: &[Selector], left: &mut Vec<&Arc<Slave>>) -> Vec<Arc<Slave>> {
    let selected = |slave: &mut &Arc<Slave>| {
        let facts = slave.facts();
        selectors.iter().any(|one| one.selects(&facts.labels))
    };
    left.extract_if(.., selected).map(Arc::clone).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use front::calls::HeaderMap;
    use protocol::link::handshake::SlaveHello;
    use protocol::link::limits::LinkLimits;
    use protocol::mcp::catalog::Catalog;

    use super::super::question::Who;
    use super::*;

    fn slave(key: u64, labels: &[(&str, &str)]) -> Arc<Slave> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(text).collect();
        let hello = SlaveHello { slave_name: format!("s{key}"), labels, ..SlaveHello::default() };
        Slave::for_test(&hello, key, LinkLimits::default(), Catalog::default())
    }

    fn pool(text: &str, names: [&str; 2], members: &[Arc<Slave>]) -> PoolRoutes {
        PoolRoutes::new(&Routes::parse(text).unwrap(), names, &members.into())
    }

    fn ask<T>(arguments: &str, then: impl FnOnce(&Question<'_>) -> T) -> T {
        let (headers, params) = (HeaderMap::new(), BTreeMap::new());
        let message = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
        then(&Question::new(Who::Anyone, (&headers, &params), message.as_bytes()))
    }

    fn names(route: &Route) -> Vec<Vec<&str>> {
        route.tiers.iter().map(|tier| tier.iter().map(|slave| slave.name.as_str()).collect()).collect()
    }

    const TIERS: &str = "rules: [{ name: r, match: { tool: t* }, to: { a: x }, fallback: [{ b: y }, any] }]";

    #[test]
    fn each_slave_is_in_the_first_tier_that_it_fits() {
        let slaves = [
            slave(1, &[("b", "y")]),
            slave(2, &[("a", "x"), ("b", "y")]),
            slave(3, &[]),
            slave(4, &[("a", "z")]),
        ];
        let routes = pool(TIERS, ["t1", "t1"], &slaves);
        ask("{}", |call| assert_eq!(names(&routes.route(call)), [vec!["s2"], vec!["s1"], vec!["s3", "s4"]]));
        let routes = pool(TIERS, ["t1", "t1"], &slaves[2..]);
        ask("{}", |call| assert_eq!(names(&routes.route(call)), [["s3", "s4"]], "empty tiers are left out"));
    }

    #[test]
    fn a_tool_that_no_rule_is_for_has_all_slaves() {
        let slaves = [slave(1, &[("a", "x")]), slave(2, &[])];
        let routes = pool(TIERS, ["other", "other"], &slaves);
        assert!(routes.applied.is_empty());
        ask("{}", |call| assert_eq!(names(&routes.route(call)), [["s1", "s2"]]));
        // A name made up for a collision is no way around a rule.
        let routes = pool(TIERS, ["s1__t1", "t1"], &slaves);
        ask("{}", |call| assert_eq!(names(&routes.route(call)), [["s1"], ["s2"]]));
    }

    #[test]
    fn a_moved_call_keeps_its_rule_whatever_the_file_says_by_then() {
        let text = "rules: [{ name: r, match: { argument: { pointer: /p, equals: q } }, to: { a: x } }]";
        let first = pool(text, ["t", "t"], &[slave(1, &[("a", "x")]), slave(2, &[])]);
        let route = ask(r#"{"p":"q"}"#, |call| first.route(call));
        assert_eq!(names(&route), [["s1"]]);
        for text in [text, "", "rules: [{ name: r, to: any }]"] {
            let later = pool(text, ["t", "t"], &[slave(2, &[]), slave(3, &[("a", "x")])]);
            let again = later.again(&route);
            assert_eq!(names(&again), [["s3"]], "{text}");
            assert!(again.wanted().unwrap().contains("a=x (rule \"r\")"));
            let nobody = pool(text, ["t", "t"], &[slave(2, &[])]).again(&route);
            assert!(nobody.tiers.is_empty(), "{text}");
        }
        let without = ask("{}", |call| first.route(call));
        assert!(without.wanted().is_none());
        assert_eq!(names(&first.again(&without)), [["s1", "s2"]]);
    }

    #[test]
    fn a_review_keeps_its_platform_even_where_nobody_had_one_before() {
        let tool = "review_merge_request";
        let first = pool("", [tool, tool], &[slave(1, &[])]);
        let arguments = r#"{"mrUrlOrId":"https://gitlab.com/a/b/-/merge_requests/1"}"#;
        let route = ask(arguments, |call| first.route(call));
        assert_eq!(names(&route), [["s1"]]);
        let later = pool("", [tool, tool], &[slave(2, &[("platform", "github")])]);
        assert!(later.again(&route).tiers.is_empty());
    }
}
