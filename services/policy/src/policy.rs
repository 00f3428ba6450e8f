//! The policy in its compiled form, and the decision: one AND of bit sets for each request. Must not know files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::annotations::Annotations;
use crate::client_rules::{Clearance, ClientRules, KnownClients};
use crate::contents::{Contents, Fallback};
use crate::decision::Decision;
use crate::place::Place;
use crate::probe::PolicyTest;
use crate::quota::Quota;
use crate::requester::Requester;
use crate::roles::{Role, Roles};
use crate::rule::{Effect, Rule};
use crate::rule_set::RuleSet;
use crate::subject::{Subject, SubjectKind};
use crate::summary::RuleSummary;

/// A policy.
#[derive(Debug)]
pub struct Policy {
    contents: Contents,
    generation: u64,
    allow: RuleSet,
    /// Denying rules without and with conditions on arguments.
    deny: RuleSet,
    deny_arguments: RuleSet,
    /// All rules with conditions on arguments.
    arguments: RuleSet,
    known: KnownClients,
}

/// A rule of the file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: u64,
}

/// Numbers of policies.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

impl Policy {
    pub(crate) fn new(contents: Contents) -> Self {
        let set = |has: &dyn Fn(&Rule) -> bool| {
            RuleSet::of(contents.rules.len(), |number| contents.rules.get(number).is_some_and(has))
        };
        Self {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            allow: set(&Rule::allows),
            deny: set(&|rule| !rule.allows() && rule.arguments.is_empty()),
            deny_arguments: set(&|rule| !rule.allows() && !rule.arguments.is_empty()),
            arguments: set(&|rule| !rule.arguments.is_empty()),
            known: KnownClients::default(),
            contents,
        }
    }

    /// Returns the policy that allows nothing to anybody.
    pub fn nothing() -> Self {
        Self::new(Contents { operators: Some(Roles::default()), ..Contents::default() })
    }

    /// Returns the number of the policy, which no other policy of this process has.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the number of rules.
    pub fn rules(&self) -> usize {
        self.contents.rules.len()
    }

    /// Returns a rule by its number.
    pub fn rule(&self, number: usize) -> Option<RuleRef> {
        let rule = self.contents.rules.get(number)?;
        Some(RuleRef { name: rule.name.clone(), line: rule.line })
    }

    /// Returns the rules of a set in words, in the order of the file; `None`: all rules.
    pub fn summaries(&self, of: Option<&RuleSet>) -> Vec<RuleSummary> {
        let rules = self.contents.rules.iter().enumerate();
        let rules = rules.filter(|(number, _)| of.is_none_or(|set| set.has(*number)));
        rules.map(|(_, rule)| RuleSummary::of(rule)).collect()
    }

    /// Returns whether what no rule is about is allowed.
    pub fn is_open(&self) -> bool {
        self.contents.fallback == Fallback::Allow
    }

    /// Returns the scopes that a rule requires.
    pub fn scopes_of(&self, number: usize) -> &[String] {
        match self.contents.rules.get(number).map(|rule| &rule.effect) {
            Some(Effect::Allow { scopes }) => scopes,
            _ => &[],
        }
    }

    /// Returns the quotas, for whoever counts calls.
    pub fn quotas(&self) -> &[Quota] {
        &self.contents.quotas
    }

    pub(crate) fn all_rules(&self) -> &[Rule] {
        &self.contents.rules
    }

    pub(crate) fn tests(&self) -> &[PolicyTest] {
        &self.contents.tests
    }

    /// Returns whether an operator has a role. Without a section for operators everybody who is let in may read, and nobody may operate.
    pub fn allows_operator(&self, role: Role, operator: &Requester<'_>) -> bool {
        match &self.contents.operators {
            Some(roles) => roles.allow(role, operator),
            None => role != Role::Operate,
        }
    }

    /// Returns a client as the rules see it.
    pub fn client_rules(&self, client: &Requester<'_>) -> Arc<ClientRules> {
        let rules = &self.contents.rules;
        let set = |has: &dyn Fn(&Rule) -> bool| {
            RuleSet::of(rules.len(), |number| rules.get(number).is_some_and(has))
        };
        self.known.get(client, || ClientRules {
            who: set(&|rule| rule.is_about_client(client)),
            scoped: set(&|rule| rule.is_in_scope(client)),
        })
    }

    /// Returns the rules that are about a subject at a slave; `annotations` are those of a tool there.
    pub fn target(
        &self,
        subject: &Subject<'_>,
        place: Place<'_>,
        annotations: Option<Annotations>,
    ) -> RuleSet {
        let rules = &self.contents.rules;
        RuleSet::of(rules.len(), |number| {
            rules.get(number).is_some_and(|rule| rule.is_about(subject, annotations) && rule.is_at(place))
        })
    }

    /// Returns the rules by which a client may use a slave at all, for requests that name nothing which rules name: tasks and replies.
    pub fn target_of_place(&self, place: Place<'_>) -> RuleSet {
        let rules = &self.contents.rules;
        RuleSet::of(rules.len(), |number| rules.get(number).is_some_and(|rule| rule.is_about_all_of(place)))
    }

    /// Returns whether a rule of the client asks for the arguments of such a request.
    pub fn needs_arguments(&self, client_rules: &ClientRules, target: &RuleSet) -> bool {
        RuleSet::meet(&client_rules.who, target, &self.arguments)
    }

    /// Returns the client's rules whose conditions on arguments hold for its message.
    pub fn arguments(&self, client_rules: &ClientRules, message: &[u8]) -> RuleSet {
        let rules = &self.contents.rules;
        RuleSet::of(rules.len(), |number| {
            let asks = client_rules.who.has(number) && self.arguments.has(number);
            asks && rules.get(number).is_some_and(|rule| rule.arguments_hold(message))
        })
    }

    /// Returns what waiting calls of a client are told apart by.
    pub fn clearance(&self, client_rules: Arc<ClientRules>, arguments: Option<RuleSet>) -> Clearance {
        Clearance { generation: self.generation, client_rules, arguments }
    }

    /// Decides on a request for a subject of this kind. Without `arguments` whether any arguments would do.
    pub fn decide(
        &self,
        kind: Option<SubjectKind>,
        client_rules: &ClientRules,
        target: &RuleSet,
        arguments: Option<&RuleSet>,
    ) -> Decision {
        let ClientRules { who, scoped } = client_rules;
        if RuleSet::meet(who, target, &self.deny) {
            return Decision::Hidden(RuleSet::common([who, target, &self.deny]).next());
        }
        let mut allowing = RuleSet::common([who, target, &self.allow]).peekable();
        // An extension's method is allowed by its name only.
        let is_open = self.contents.fallback == Fallback::Allow && kind != Some(SubjectKind::Method);
        if allowing.peek().is_none() && !is_open {
            return Decision::Hidden(None);
        }
        let denied = |rule: &usize| arguments.is_some_and(|hold| hold.has(*rule));
        if let Some(rule) = RuleSet::common([who, target, &self.deny_arguments]).find(denied) {
            return Decision::Forbidden(rule);
        }
        let decide = |rule: usize| {
            let has_arguments = !self.arguments.has(rule) || arguments.is_none_or(|hold| hold.has(rule));
            match (has_arguments, scoped.has(rule)) {
                (true, true) => Decision::Allowed,
                (true, false) => Decision::Challenge(rule),
                (false, _) => Decision::Forbidden(rule),
            }
        };
        allowing.map(decide).reduce(Decision::or).unwrap_or(Decision::Allowed)
    }

    /// Returns whether a client might use an entry of this name at some slave: what is said of entries that are not there at present.
    pub fn may_know(&self, client_rules: &ClientRules, subject: &Subject<'_>) -> bool {
        let rules = &self.contents.rules;
        let target = RuleSet::of(rules.len(), |number| {
            rules.get(number).is_some_and(|rule| {
                let is_certain = rule.places.is_empty() && rule.annotations.is_none();
                (rule.allows() || is_certain) && rule.is_about(subject, None)
            })
        });
        self.decide(Some(subject.kind), client_rules, &target, None).is_shown()
    }
}

#[cfg(test)]
mod tests;
