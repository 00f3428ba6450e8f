//! Label selectors. Must not know links or calls.

use std::collections::BTreeMap;
use std::fmt;

/// Conditions on a slave's labels, all of which must hold. An empty selector selects every slave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(pub(super) BTreeMap<String, LabelMatch>);

/// Condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelMatch {
    /// The label has one of these values.
    OneOf(Vec<String>),
    /// The slave does not have the label.
    Absent,
}

impl Selector {
    /// Returns a selector with one condition.
    pub(super) fn label(key: &str, condition: LabelMatch) -> Self {
        Self(BTreeMap::from([(key.to_owned(), condition)]))
    }

    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, condition)| match (condition, labels.get(key)) {
            (LabelMatch::OneOf(values), Some(value)) => values.contains(value),
            (LabelMatch::Absent, None) => true,
            (LabelMatch::OneOf(_), None) | (LabelMatch::Absent, Some(_)) => false,
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any labels");
        }
        let words = self.0.iter().map(|(key, condition)| match condition {
            LabelMatch::OneOf(values) => format!("{key}={}", values.join("|")),
            LabelMatch::Absent => format!("no label {key}"),
        });
        f.write_str(&words.collect::<Vec<_>>().join(" and "))
    }
}

/// Describes alternatives in words.
pub(super) fn describe_alternatives(selectors: &[Selector]) -> String {
    selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
