//! The policy of a code: the identity, labels and tools that it allows its holder, and its time of validity. Must not know the code itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::code::{CodeDigest, InvalidCode};
use super::code_limits::CodeLimits;
use super::identity::Identity;

/// The values that a label may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelValues {
    /// Any value.
    Any,
    /// Any of these values.
    Listed(Vec<String>),
}

/// A pattern of allowed tools' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolPattern {
    /// The tool with this name.
    Exact(String),
    /// All tools whose names begin with this prefix.
    Prefix(String),
}

/// The rights that a code gives its holder. The default allows everything at any time and gives no identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodePolicy {
    /// `name` of the entry.
    pub(super) name: Option<Arc<str>>,
    /// Labels that the slave gets, whatever it announces.
    pub(super) forced: BTreeMap<String, String>,
    /// Other labels that the slave may announce. `None`: any.
    pub(super) allowed: Option<BTreeMap<String, LabelValues>>,
    /// Tools that the slave may offer. `None`: any.
    pub(super) tools: Option<Vec<ToolPattern>>,
    /// Limits of what its holders may take from the proxy.
    pub(super) limits: CodeLimits,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_after: Option<OffsetDateTime>,
}

/// A slave announced a label that its code does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {key}={value} is not allowed by this slave's code ({allowed})")]
pub(crate) struct LabelNotAllowed {
    key: String,
    value: String,
    /// Description of what is allowed.
    allowed: String,
}

impl CodePolicy {
    /// Returns the name of the code, which logs and metrics show.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the identity of whoever presents the code with this digest.
    pub(super) fn identity_of(&self, code: CodeDigest) -> Identity {
        self.name.as_ref().map_or(Identity::Unnamed(code), |name| Identity::Named(Arc::clone(name)))
    }

    /// Returns the time from which on the code is not valid any more.
    pub(crate) fn not_after(&self) -> Option<OffsetDateTime> {
        self.not_after
    }

    /// Returns whether the code becomes valid or expires after `before` and no later than `now`.
    pub(crate) fn changes_between(&self, before: OffsetDateTime, now: OffsetDateTime) -> bool {
        [self.not_before, self.not_after].into_iter().flatten().any(|change| before < change && change <= now)
    }

    /// Checks that the code is valid at `now`.
    pub(super) fn check_validity(&self, now: OffsetDateTime) -> Result<(), InvalidCode> {
        match (self.not_before, self.not_after) {
            (Some(from), _) if now < from => Err(InvalidCode::NotYetValid(from)),
            (_, Some(end)) if now >= end => Err(InvalidCode::Expired(end)),
            _ => Ok(()),
        }
    }

    /// Returns the labels of a slave that announced `announced`: these and the forced ones, which win.
    pub(crate) fn labels(
        &self,
        announced: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, LabelNotAllowed> {
        if let Some(allowed) = &self.allowed {
            // A forced label replaces an announced one, so announcing it is not an error.
            for (key, value) in announced.iter().filter(|(key, _)| !self.forced.contains_key(*key)) {
                check_label(allowed, key, value)?;
            }
        }
        let mut labels = announced.clone();
        labels.extend(self.forced.clone());
        Ok(labels)
    }

    /// Returns whether a tool with this name may be offered.
    pub(crate) fn allows_tool(&self, name: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| {
            tools.iter().any(|pattern| match pattern {
                ToolPattern::Exact(tool) => tool == name,
                ToolPattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
            })
        })
    }
}

fn check_label(
    allowed: &BTreeMap<String, LabelValues>,
    key: &str,
    value: &str,
) -> Result<(), LabelNotAllowed> {
    let denied =
        |allowed: String| Err(LabelNotAllowed { key: key.to_owned(), value: value.to_owned(), allowed });
    match allowed.get(key) {
        Some(LabelValues::Any) => Ok(()),
        Some(LabelValues::Listed(values)) if values.iter().any(|known| known == value) => Ok(()),
        Some(LabelValues::Listed(values)) => denied(format!("allowed values: {}", values.join(", "))),
        None if allowed.is_empty() => denied("it allows no labels".into()),
        None => {
            let keys: Vec<&str> = allowed.keys().map(String::as_str).collect();
            denied(format!("allowed labels: {}", keys.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn policy() -> CodePolicy {
        let listed = LabelValues::Listed(vec!["eu".into(), "us".into()]);
        CodePolicy {
            forced: labels(&[("platform", "gitlab")]),
            allowed: Some([("region".to_owned(), listed), ("team".to_owned(), LabelValues::Any)].into()),
            tools: Some(vec![ToolPattern::Exact("echo".into()), ToolPattern::Prefix("git_".into())]),
            ..CodePolicy::default()
        }
    }

    #[test]
    fn forced_labels_win_and_other_labels_must_be_allowed() {
        let made = policy().labels(&labels(&[("platform", "github"), ("region", "eu"), ("team", "x")]));
        assert_eq!(made, Ok(labels(&[("platform", "gitlab"), ("region", "eu"), ("team", "x")])));
        for (announced, hint) in [(("region", "mars"), "eu, us"), (("zone", "1"), "region, team")] {
            let denied = policy().labels(&labels(&[announced])).unwrap_err().to_string();
            assert!(
                denied.contains(&format!("{}={}", announced.0, announced.1)) && denied.contains(hint),
                "{denied}"
            );
        }
        let none = CodePolicy { allowed: Some(BTreeMap::new()), ..policy() };
        assert!(none.labels(&labels(&[("region", "eu")])).is_err());
        assert_eq!(none.labels(&BTreeMap::new()), Ok(labels(&[("platform", "gitlab")])));
        let any = CodePolicy::default().labels(&labels(&[("a", "b")]));
        assert_eq!(any, Ok(labels(&[("a", "b")])));
    }

    #[test]
    fn tools_are_allowed_by_name_or_prefix() {
        for (tool, allowed) in [("echo", true), ("echo2", false), ("git_log", true), ("git", false)] {
            assert_eq!(policy().allows_tool(tool), allowed, "{tool}");
        }
        assert!(CodePolicy::default().allows_tool("anything"));
    }
}
