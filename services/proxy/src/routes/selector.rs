//! Slaves by their labels. Knows nothing of links or calls.

use std::collections::BTreeMap;
use std::fmt;

/// What the labels of a slave must be: all of these. None: any slave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(pub(super) BTreeMap<String, Wanted>);

/// What one label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One of these values.
    OneOf(Vec<String>),
    /// The slave has no such label.
    Absent,
}

impl Selector {
    /// Slaves with this label.
    pub(super) fn label(key: &str, wanted: Wanted) -> Self {
        Self(BTreeMap::from([(key.to_owned(), wanted)]))
    }

    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, wanted)| match (wanted, labels.get(key)) {
            (Wanted::OneOf(values), Some(value)) => values.contains(value),
            (Wanted::Absent, None) => true,
            (Wanted::OneOf(_), None) | (Wanted::Absent, Some(_)) => false,
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any labels");
        }
        let words = self.0.iter().map(|(key, wanted)| match wanted {
            Wanted::OneOf(values) => format!("{key}={}", values.join("|")),
            Wanted::Absent => format!("no label {key}"),
        });
        f.write_str(&words.collect::<Vec<_>>().join(" and "))
    }
}

/// Several selectors, any of which will do, in words.
pub(super) fn any_of(selectors: &[Selector]) -> String {
    selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
