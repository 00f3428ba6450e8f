//! Rules as people are told of them. Must not know how rules are applied.

use std::fmt;

use crate::rule::{Effect, Rule};
use crate::who::{Conditions, Who};

/// A rule of the file in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSummary {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: u64,
    /// Whether it allows, rather than denies.
    pub allows: bool,
    /// The clients that it is about.
    pub who: String,
    /// Scopes that it requires.
    pub scopes: Vec<String>,
    /// Whether it also depends on arguments.
    pub asks_arguments: bool,
}

impl RuleSummary {
    pub(crate) fn of(rule: &Rule) -> Self {
        let scopes = match &rule.effect {
            Effect::Allow { scopes } => scopes.clone(),
            Effect::Deny => Vec::new(),
        };
        let who: Vec<String> = rule.who.iter().map(ToString::to_string).collect();
        Self {
            name: rule.name.clone(),
            line: rule.line,
            allows: rule.allows(),
            who: who.join(" or "),
            scopes,
            asks_arguments: !rule.arguments.is_empty(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Given(conditions) => conditions.fmt(f),
        }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, group, subject, issuer, scope, certificate } = self;
        let all = [
            ("key", key),
            ("group", group),
            ("subject", subject),
            ("issuer", issuer),
            ("scope", scope),
            ("certificate", certificate),
        ];
        let mut given = all.iter().filter_map(|(name, globs)| Some((name, globs.as_ref()?)));
        let mut first = true;
        given.try_for_each(|(name, globs)| {
            let globs: Vec<String> = globs.iter().map(ToString::to_string).collect();
            let separator = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{separator}{name} {}", globs.join("|"))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Policy;
    use crate::side::Side;

    #[test]
    fn a_rule_is_told_in_words() {
        let text = "allow:\n- {name: staff, who: [authenticated, {key: [a, b*], group: dev}], requires_scope: x}\n\
                    deny:\n- {tools: rm}\n";
        let policy = Policy::parse(text, Side::Proxy).unwrap();
        let told: Vec<String> = policy
            .summaries(None)
            .iter()
            .map(|rule| format!("{} {} {} {:?}", rule.name, rule.allows, rule.who, rule.scopes))
            .collect();
        assert_eq!(
            told,
            ["deny[0] false anyone []", "staff true authenticated or key a|b*, group dev [\"x\"]"]
        );
    }
}
