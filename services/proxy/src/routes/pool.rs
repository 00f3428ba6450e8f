//! The rules that can apply to one tool, with the slaves that each allows. Worked out when the directory is built, so
//! that a call of a tool without rules costs nothing. Must not know what a slave is, nor which one is picked.

use std::sync::Arc;

use protocol::mcp::failure::Failure;

use super::file::Routes;
use super::labelled::Labelled;
use super::match_input::MatchInput;
use super::review::Subject;
use super::review_number::NumberRoutes;
use super::route::{Priorities, Route, priorities};
use super::rule::{Condition, Rule};
use crate::metrics::RouteMeter;

/// Routing of the calls of one pool.
pub(crate) struct PoolRoutes<S> {
    applied: Vec<AppliedRule<S>>,
    /// The routes of reviews that are named by a number only, where the tool is that of reviews.
    numbers: Option<NumberRoutes<S>>,
    /// All members as one priority, for calls that no rule applies to.
    all: Priorities<S>,
}

/// A rule that can apply to the tool.
struct AppliedRule<S> {
    rule: Arc<Rule>,
    priorities: Priorities<S>,
    meter: RouteMeter,
}

impl<S> AppliedRule<S> {
    fn is_by_number(&self) -> bool {
        matches!(self.rule.condition, Condition::ReviewNumber)
    }
}

impl<S: Labelled> PoolRoutes<S> {
    /// `names` are the clients' and the slaves' name of the tool.
    pub(crate) fn new(routes: &Routes, names: [&str; 2], members: &Arc<[Arc<S>]>) -> Self {
        let apply = |rule: &Arc<Rule>| AppliedRule {
            rule: Arc::clone(rule),
            priorities: priorities(rule, members.iter()),
            meter: RouteMeter::new(&rule.name),
        };
        let applied: Vec<AppliedRule<S>> =
            routes.rules.iter().filter(|rule| rule.applies_to_tool(names)).map(apply).collect();
        let by_number = applied.iter().find(|applied| applied.is_by_number());
        let numbers = by_number.map(|applied| NumberRoutes::new(&applied.rule, members));
        Self { applied, numbers, all: Arc::new([Arc::clone(members)]) }
    }

    /// Returns the route of a call: by the first rule that applies to it, else to any member.
    ///
    /// # Errors
    /// The call could mean one of several members; the failure says what to add.
    pub(crate) fn route(&self, call: &MatchInput<'_>) -> Result<Route<S>, Failure> {
        let Some(applied) = self.applied.iter().find(|applied| applied.rule.check(call).is_ok()) else {
            return Ok(Route::new(None, Arc::clone(&self.all)));
        };
        if let Some(numbers) = self.numbers.as_ref().filter(|_| applied.is_by_number())
            && let Subject::Number(named) = Subject::of(call)
        {
            let route = numbers.route(named);
            applied.meter.record(route.as_ref().map_or(0, |route| route.priorities.len()));
            return route;
        }
        applied.meter.record(applied.priorities.len());
        Ok(Route::new(Some(Arc::clone(&applied.rule)), Arc::clone(&applied.priorities)))
    }

    /// Returns the route by the same rule among the present members, all of them. The rule holds even if the file has changed since.
    pub(crate) fn reroute(&self, before: &Route<S>) -> Route<S> {
        let Some(rule) = &before.rule else { return Route::new(None, Arc::clone(&self.all)) };
        let known = self.applied.iter().find(|applied| Arc::ptr_eq(&applied.rule, rule));
        let members = || self.all.iter().flat_map(|members| members.iter());
        let priorities =
            known.map_or_else(|| priorities(rule, members()), |applied| Arc::clone(&applied.priorities));
        Route::new(Some(Arc::clone(rule)), priorities)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use front::calls::HeaderMap;

    use super::super::match_input::ClientIdentity;
    use super::*;

    struct TestSlave {
        name: String,
        labels: BTreeMap<String, String>,
    }

    impl Labelled for TestSlave {
        fn with_labels<R>(&self, read: impl FnOnce(&BTreeMap<String, String>) -> R) -> R {
            read(&self.labels)
        }

        fn tells_defaults(&self) -> bool {
            true
        }
    }

    fn slave(number: u64, labels: &[(&str, &str)]) -> Arc<TestSlave> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Arc::new(TestSlave { name: format!("s{number}"), labels: labels.iter().map(text).collect() })
    }

    fn pool(text: &str, names: [&str; 2], members: &[Arc<TestSlave>]) -> PoolRoutes<TestSlave> {
        PoolRoutes::new(&Routes::parse(text).unwrap(), names, &members.into())
    }

    fn with_input<T>(arguments: &str, then: impl FnOnce(&MatchInput<'_>) -> T) -> T {
        let (headers, params) = (HeaderMap::new(), BTreeMap::new());
        let message = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
        then(&MatchInput::new(ClientIdentity::Anonymous, &headers, &params, message.as_bytes()))
    }

    fn names(route: &Route<TestSlave>) -> Vec<Vec<&str>> {
        let priorities = route.priorities.iter();
        priorities.map(|members| members.iter().map(|slave| slave.name.as_str()).collect()).collect()
    }

    const PRIORITIES: &str =
        "rules: [{ name: r, match: { tool: t* }, to: { a: x }, fallback: [{ b: y }, any] }]";

    #[test]
    fn each_slave_is_in_the_first_priority_that_selects_it() {
        let slaves = [
            slave(1, &[("b", "y")]),
            slave(2, &[("a", "x"), ("b", "y")]),
            slave(3, &[]),
            slave(4, &[("a", "z")]),
        ];
        let routes = pool(PRIORITIES, ["t1", "t1"], &slaves);
        with_input("{}", |call| {
            assert_eq!(names(&routes.route(call).unwrap()), [vec!["s2"], vec!["s1"], vec!["s3", "s4"]]);
        });
        let routes = pool(PRIORITIES, ["t1", "t1"], &slaves[2..]);
        with_input("{}", |call| {
            assert_eq!(names(&routes.route(call).unwrap()), [["s3", "s4"]], "empty priorities are left out");
        });
    }

    #[test]
    fn a_tool_without_rules_may_go_to_all_slaves() {
        let slaves = [slave(1, &[("a", "x")]), slave(2, &[])];
        let routes = pool(PRIORITIES, ["other", "other"], &slaves);
        assert!(routes.applied.is_empty());
        with_input("{}", |call| assert_eq!(names(&routes.route(call).unwrap()), [["s1", "s2"]]));
        // A name made up for a collision does not evade a rule.
        let routes = pool(PRIORITIES, ["s1__t1", "t1"], &slaves);
        with_input("{}", |call| assert_eq!(names(&routes.route(call).unwrap()), [["s1"], ["s2"]]));
    }

    #[test]
    fn a_moved_call_keeps_its_rule_when_the_file_has_changed() {
        let text = "rules: [{ name: r, match: { argument: { pointer: /p, equals: q } }, to: { a: x } }]";
        let first = pool(text, ["t", "t"], &[slave(1, &[("a", "x")]), slave(2, &[])]);
        let route = with_input(r#"{"p":"q"}"#, |call| first.route(call).unwrap());
        assert_eq!(names(&route), [["s1"]]);
        for text in [text, "", "rules: [{ name: r, to: any }]"] {
            let later = pool(text, ["t", "t"], &[slave(2, &[]), slave(3, &[("a", "x")])]);
            let moved = later.reroute(&route);
            assert_eq!(names(&moved), [["s3"]], "{text}");
            assert!(moved.describe().unwrap().contains("a=x (rule \"r\")"));
            let unroutable = pool(text, ["t", "t"], &[slave(2, &[])]).reroute(&route);
            assert!(unroutable.priorities.is_empty(), "{text}");
        }
        let without = with_input("{}", |call| first.route(call).unwrap());
        assert!(without.describe().is_none());
        assert_eq!(names(&first.reroute(&without)), [["s1", "s2"]]);
    }

    #[test]
    fn a_moved_review_keeps_its_platform() {
        let tool = "review_merge_request";
        let first = pool("", [tool, tool], &[slave(1, &[])]);
        let arguments = r#"{"mrUrlOrId":"https://gitlab.com/a/b/-/merge_requests/1"}"#;
        let route = with_input(arguments, |call| first.route(call).unwrap());
        assert_eq!(names(&route), [["s1"]]);
        let later = pool("", [tool, tool], &[slave(2, &[("platform", "github")])]);
        assert!(later.reroute(&route).priorities.is_empty());
    }
}
