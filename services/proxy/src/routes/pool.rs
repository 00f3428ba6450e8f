//! The rules that may be for one tool, with the slaves that each allows: worked out when the directory is built, so
//! that a call whose tool no rule is for costs nothing. Must not know which slave is chosen.

use std::sync::Arc;

use super::file::Routes;
use super::question::Question;
use super::review;
use super::rule::{Condition, Rule};
use super::selector::Selector;
use crate::back::Slave;
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
        let has_platforms = members.iter().any(|slave| slave.facts().labels.contains_key(review::LABEL));
        let matters = |rule: &&Arc<Rule>| match rule.condition {
            // Among slaves without platforms it would say nothing.
            Condition::Review(_) => has_platforms && rule.is_for_tool(names),
            Condition::Given { .. } => rule.is_for_tool(names),
        };
        let apply = |rule: &Arc<Rule>| Applied {
            rule: Arc::clone(rule),
            tiers: tiers(rule, members),
            meter: RouteMeter::new(&rule.name),
        };
        let applied = routes.rules.iter().filter(matters).map(apply).collect();
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
        applied.meter.routed(applied.tiers.len());
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
