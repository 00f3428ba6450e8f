//! What a policy decides on requests that nobody has made: tests of the file and explanations. Must not know files.

use crate::decision::Decision;
use crate::policy::Policy;
use crate::probe::{PolicyTest, Probe};
use crate::quota::Quota;
use crate::subject::SubjectKind;

/// The check of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCheck {
    /// Name of the rule.
    pub name: String,
    /// Line in the file.
    pub line: u64,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// Why it does not apply; `None`: it does.
    pub mismatch: Option<&'static str>,
}

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: u64,
    /// What was expected: `allow`, `challenge`, `forbidden` or `deny`.
    pub expected: &'static str,
    /// What the policy decides.
    pub decided: &'static str,
    /// Name of the rule that decided.
    pub rule: Option<String>,
}

impl TestReport {
    /// Returns whether the policy decides as expected.
    pub fn passes(&self) -> bool {
        self.expected == self.decided
    }
}

impl Policy {
    /// Runs the tests of the file.
    pub fn run_tests(&self) -> Vec<TestReport> {
        let run = |test: &PolicyTest| {
            let decision = self.decide_probe(&test.probe);
            TestReport {
                name: test.name.clone(),
                line: test.line,
                expected: test.expected,
                decided: decision.as_str(),
                rule: decision.rule().and_then(|rule| self.rule(rule)).map(|rule| rule.name),
            }
        };
        self.tests().iter().map(run).collect()
    }
}

impl Policy {
    /// Decides on a request that a test or an explanation describes.
    pub fn decide_probe(&self, probe: &Probe) -> Decision {
        let target = self.target(&probe.subject(), probe.place(), probe.annotations());
        let client_rules = self.client_rules(&probe.client);
        let arguments = self.arguments(&client_rules, probe.message().as_bytes());
        self.decide(Some(probe.kind), &client_rules, &target, Some(&arguments))
    }

    /// Returns the quotas that a request counts against. A method counts against none.
    pub fn quotas_of(&self, probe: &Probe) -> impl Iterator<Item = &Quota> {
        let is_counted = probe.kind != SubjectKind::Method;
        let counts = move |quota: &&Quota| is_counted && quota.counts(&probe.client, &probe.subject());
        self.quotas().iter().filter(counts)
    }

    /// Explains which rules apply to a request, in the order in which they count.
    pub fn check_rules(&self, probe: &Probe) -> Vec<RuleCheck> {
        let (subject, annotations, message) = (probe.subject(), probe.annotations(), probe.message());
        let check = |rule: &crate::rule::Rule| {
            let mismatch = if !rule.is_about_client(&probe.client) {
                Some("it is about other clients")
            } else if !rule.is_about(&subject, annotations) {
                Some("it is about something else")
            } else if !rule.is_at(probe.place()) {
                Some("it is about other slaves")
            } else if !rule.arguments_hold(message.as_bytes()) {
                Some("its conditions on arguments do not hold")
            } else if !rule.is_in_scope(&probe.client) {
                Some("the client lacks scopes that it requires")
            } else {
                None
            };
            let effect = if rule.allows() { "allow" } else { "deny" };
            RuleCheck { name: rule.name.clone(), line: rule.line, effect, mismatch }
        };
        self.all_rules().iter().map(check).collect()
    }
}
