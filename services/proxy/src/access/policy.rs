//! What the holder of a code may be and offer. Must not know the code.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::code::Invalid;

/// Which values of a label are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Any.
    Any,
    /// One of these.
    Listed(Vec<String>),
}

/// Names of tools that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tools {
    /// This one.
    Named(String),
    /// All that begin so.
    Prefix(String),
}

/// What a code allows. By default everything, at any time, without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub(super) name: Option<String>,
    /// Labels that the slave has whatever it says.
    pub(super) forced: BTreeMap<String, String>,
    /// Other labels that it may have; `None`: any.
    pub(super) allowed: Option<BTreeMap<String, Values>>,
    /// `None`: any.
    pub(super) tools: Option<Vec<Tools>>,
    pub(super) not_before: Option<OffsetDateTime>,
    pub(super) not_after: Option<OffsetDateTime>,
}

/// A slave says that it has a label which its code does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {key}={value} is not allowed by this slave's code ({allowed})")]
pub(crate) struct LabelRefused {
    key: String,
    value: String,
    /// What is.
    allowed: String,
}

impl Grant {
    /// The identity of whoever holds the code, for logs and metrics.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// When the code stops being valid.
    pub(crate) fn not_after(&self) -> Option<OffsetDateTime> {
        self.not_after
    }

    /// Whether it begins or ends to hold after `before` and not after `now`.
    pub(crate) fn turns(&self, before: OffsetDateTime, now: OffsetDateTime) -> bool {
        [self.not_before, self.not_after].into_iter().flatten().any(|turn| before < turn && turn <= now)
    }

    pub(super) fn check(&self, now: OffsetDateTime) -> Result<(), Invalid> {
        match (self.not_before, self.not_after) {
            (Some(from), _) if now < from => Err(Invalid::Early(from)),
            (_, Some(end)) if now >= end => Err(Invalid::Expired(end)),
            _ => Ok(()),
        }
    }

    /// The labels of a slave that says it has `said`.
    pub(crate) fn labels(
        &self,
        said: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, LabelRefused> {
        if let Some(allowed) = &self.allowed {
            // What is forced is so anyway: saying it is no fault.
            for (key, value) in said.iter().filter(|(key, _)| !self.forced.contains_key(*key)) {
                check_label(allowed, key, value)?;
            }
        }
        let mut labels = said.clone();
        labels.extend(self.forced.clone());
        Ok(labels)
    }

    /// Whether a tool of this name may be offered.
    pub(crate) fn allows_tool(&self, name: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| {
            tools.iter().any(|rule| match rule {
                Tools::Named(tool) => tool == name,
                Tools::Prefix(prefix) => name.starts_with(prefix.as_str()),
            })
        })
    }
}

fn check_label(allowed: &BTreeMap<String, Values>, key: &str, value: &str) -> Result<(), LabelRefused> {
    let refused =
        |allowed: String| Err(LabelRefused { key: key.to_owned(), value: value.to_owned(), allowed });
    match allowed.get(key) {
        Some(Values::Any) => Ok(()),
        Some(Values::Listed(values)) if values.iter().any(|known| known == value) => Ok(()),
        Some(Values::Listed(values)) => refused(format!("allowed values: {}", values.join(", "))),
        None if allowed.is_empty() => refused("it allows no labels".into()),
        None => {
            let keys: Vec<&str> = allowed.keys().map(String::as_str).collect();
            refused(format!("allowed labels: {}", keys.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn grant() -> Grant {
        let listed = Values::Listed(vec!["eu".into(), "us".into()]);
        Grant {
            forced: labels(&[("platform", "gitlab")]),
            allowed: Some([("region".to_owned(), listed), ("team".to_owned(), Values::Any)].into()),
            tools: Some(vec![Tools::Named("echo".into()), Tools::Prefix("git_".into())]),
            ..Grant::default()
        }
    }

    #[test]
    fn forced_labels_override_and_others_must_be_allowed() {
        let made = grant().labels(&labels(&[("platform", "github"), ("region", "eu"), ("team", "x")]));
        assert_eq!(made, Ok(labels(&[("platform", "gitlab"), ("region", "eu"), ("team", "x")])));
        for (said, hint) in [(("region", "mars"), "eu, us"), (("zone", "1"), "region, team")] {
            let refused = grant().labels(&labels(&[said])).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("{}={}", said.0, said.1)) && refused.contains(hint),
                "{refused}"
            );
        }
        let none = Grant { allowed: Some(BTreeMap::new()), ..grant() };
        assert!(none.labels(&labels(&[("region", "eu")])).is_err());
        assert_eq!(none.labels(&BTreeMap::new()), Ok(labels(&[("platform", "gitlab")])));
        let any = Grant::default().labels(&labels(&[("a", "b")]));
        assert_eq!(any, Ok(labels(&[("a", "b")])));
    }

    #[test]
    fn tools_are_allowed_by_name_or_prefix() {
        for (tool, allowed) in [("echo", true), ("echo2", false), ("git_log", true), ("git", false)] {
            assert_eq!(grant().allows_tool(tool), allowed, "{tool}");
        }
        assert!(Grant::default().allows_tool("anything"));
    }
}
