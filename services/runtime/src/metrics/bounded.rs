//! Bounded values of a label: clients, slaves and backends choose names as they like. Must not know labels.

use std::collections::HashSet;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::printable;

/// Distinct values of one label.
const MAX_VALUES: usize = 1000;

/// The value of all names beyond the bound.
const OTHER: &str = "other";

/// The values of a label so far. The first 1,000 names are values of their own, later ones are `other`.
#[derive(Debug, Default)]
pub struct BoundedValues(LazyLock<Mutex<HashSet<String>>>);

impl BoundedValues {
    /// No values so far.
    pub const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// Returns the value for a name. Characters that command a terminal or hide are escaped.
    pub fn bounded(&self, name: &str) -> String {
        let name = &*printable::line(name);
        let mut known = self.0.lock();
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() >= MAX_VALUES {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_no_hostile_characters() {
        assert_eq!(BoundedValues::new().bounded("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
    }

    #[test]
    fn values_are_bounded_and_do_not_change() {
        let values = BoundedValues::new();
        let distinct: HashSet<String> =
            (0..2 * MAX_VALUES).map(|n| values.bounded(&format!("tool-{n}"))).collect();
        assert_eq!(distinct.len(), MAX_VALUES + 1);
        assert_eq!((values.bounded("tool-0"), values.bounded("more")), ("tool-0".into(), OTHER.into()));
    }
}
