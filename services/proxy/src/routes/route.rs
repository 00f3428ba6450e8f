//! The slaves that one call may go to, in order of preference, and the rule that says so. Must not know what a slave is, nor which
//! one is picked.

use std::sync::Arc;

use policy::Clearance;
use protocol::mcp::request_state::RequestState;

use super::labelled::Labelled;
use super::rule::Rule;
use super::selector::Selector;

/// Slaves in order of preference: those of a later priority only if none of an earlier one can take the call.
pub(crate) type Priorities<S> = Arc<[Arc<[Arc<S>]>]>;

/// The slaves that one call may go to, and the rule that says so: a call that has to move keeps its rule.
pub(crate) struct Route<S> {
    pub(super) rule: Option<Arc<Rule>>,
    pub(crate) priorities: Priorities<S>,
    narrowed: Narrowed,
    /// What the policy has cleared the call for; `None`: no policy was asked.
    clearance: Option<Arc<Clearance>>,
}

/// What has left only some of the slaves that the rule allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Narrowed {
    /// The state of an exchange that the call goes on with.
    pub(crate) state: RequestState,
    /// Number that tells the slaves that are left from others; 0: all.
    pub(crate) number: usize,
}

// Derived, it would ask for `S: Clone`.
impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone(),
            priorities: Arc::clone(&self.priorities),
            narrowed: self.narrowed,
            clearance: self.clearance.clone(),
        }
    }
}

impl<S> Route<S> {
    pub(super) fn new(rule: Option<Arc<Rule>>, priorities: Priorities<S>) -> Self {
        Self { rule, priorities, narrowed: Narrowed::default(), clearance: None }
    }

    /// Returns the route with these slaves only.
    pub(crate) fn narrow(self, priorities: Priorities<S>, narrowed: Narrowed) -> Self {
        Self { priorities, narrowed, ..self }
    }

    /// Returns the route with these slaves only.
    pub(crate) fn with_priorities(self, priorities: Priorities<S>) -> Self {
        Self { priorities, ..self }
    }

    /// Returns the route of a call that the policy has cleared so.
    pub(crate) fn cleared(self, clearance: Option<Arc<Clearance>>) -> Self {
        Self { clearance, ..self }
    }

    /// Returns what the policy has cleared the call for.
    pub(crate) fn clearance(&self) -> Option<&Arc<Clearance>> {
        self.clearance.as_ref()
    }

    /// Returns the state of an exchange that has narrowed the route.
    pub(crate) fn state(&self) -> RequestState {
        self.narrowed.state
    }

    /// Returns a number that tells the route from others while either exists: those by another rule, or to other slaves of the rule.
    pub(crate) fn number(&self) -> usize {
        self.rule.as_ref().map_or(0, |rule| Arc::as_ptr(rule).addr()).wrapping_add(self.narrowed.number)
    }

    /// Describes the rule and the labels that it asks for; `None` without a rule.
    pub(crate) fn describe(&self) -> Option<String> {
        self.rule.as_ref().map(|rule| format!("{} (rule {:?})", rule.describe_labels(), rule.name))
    }

    /// Returns all slaves of the route, those of earlier priorities first.
    pub(crate) fn slaves(&self) -> impl Iterator<Item = &Arc<S>> {
        self.priorities.iter().flat_map(|members| members.iter())
    }
}

/// Puts each slave into the first priority that selects it. Priorities without slaves are left out.
pub(super) fn priorities<'a, S: Labelled + 'a>(
    rule: &Rule,
    members: impl Iterator<Item = &'a Arc<S>>,
) -> Priorities<S> {
    let mut remaining: Vec<&Arc<S>> = members.collect();
    let selected = rule.priorities.iter().map(|selectors| take_selected(selectors, &mut remaining));
    selected.filter(|slaves| !slaves.is_empty()).map(Arc::from).collect()
}

/// Moves the slaves that one of the selectors selects out of `remaining`.
pub(super) fn take_selected<S: Labelled>(
    selectors: &[Selector],
    remaining: &mut Vec<&Arc<S>>,
) -> Vec<Arc<S>> {
    let is_selected = |slave: &mut &Arc<S>| {
        slave.with_labels(|labels| selectors.iter().any(|selector| selector.selects(labels)))
    };
    remaining.extract_if(.., is_selected).map(Arc::clone).collect()
}
