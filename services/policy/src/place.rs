//! The slaves that a rule is about. Must not know links.

use runtime::glob::{Glob, any_matches};

use std::collections::BTreeMap;

/// A slave as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of its code; id of a code without a name.
    pub code: &'a str,
    /// Labels in force.
    pub labels: &'a BTreeMap<String, String>,
}

/// A set of slaves: all conditions that are given must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) code: Option<Vec<Glob>>,
    /// Patterns of the values of labels.
    pub(crate) labels: Vec<(String, Vec<Glob>)>,
}

impl Places {
    pub(crate) fn has(&self, place: Place<'_>) -> bool {
        let has_label = |(name, globs): &(String, Vec<Glob>)| {
            place.labels.get(name).is_some_and(|value| any_matches(globs, value))
        };
        self.code.as_ref().is_none_or(|globs| any_matches(globs, place.code))
            && self.labels.iter().all(has_label)
    }
}
