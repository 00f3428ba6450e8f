//! A request that nobody has made: what tests of a policy and explanations ask about. Must not know files.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::annotations::Annotations;
use crate::decision::Decision;
use crate::place::Place;
use crate::policy::Policy;
use crate::requester::Requester;
use crate::subject::{Subject, SubjectKind};

/// A request as a test or an explanation describes it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The client.
    pub client: Requester<'static>,
    /// Kind of what it asks for.
    pub kind: SubjectKind,
    /// The clients' name of it.
    pub name: String,
    /// The slaves' own name, if it is another.
    pub own_name: Option<String>,
    /// Arguments, a JSON object.
    pub arguments: Option<String>,
    /// Annotations of the tool, a JSON object.
    pub annotations: Option<String>,
    /// Name of the slave's code.
    pub code: String,
    /// Labels of the slave.
    pub labels: BTreeMap<String, String>,
}

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

impl Probe {
    fn subject(&self) -> Subject<'_> {
        Subject::named(self.kind, &self.name, self.own_name.as_deref().unwrap_or(&self.name))
    }

    fn place(&self) -> Place<'_> {
        Place { code: &self.code, labels: &self.labels }
    }

    fn annotations(&self) -> Option<Annotations> {
        let text = format!(r#"{{"annotations":{}}}"#, self.annotations.as_deref().unwrap_or("{}"));
        let given =
            RawValue::from_string(text).map_or_else(|_| Annotations::default(), |raw| Annotations::of(&raw));
        (self.kind == SubjectKind::Tool).then_some(given)
    }

    fn message(&self) -> String {
        let arguments = self.arguments.as_deref().unwrap_or("{}");
        format!(r#"{{"params":{{"arguments":{arguments}}}}}"#)
    }
}

impl Policy {
    /// Decides on a request that a test or an explanation describes.
    pub fn decide_probe(&self, probe: &Probe) -> Decision {
        let target = self.target(&probe.subject(), probe.place(), probe.annotations());
        let asker = self.asker(&probe.client);
        let arguments = self.arguments(&asker, probe.message().as_bytes());
        self.decide(Some(probe.kind), &asker, &target, Some(&arguments))
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
