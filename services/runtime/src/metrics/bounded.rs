//! Bounded values of a label: clients, slaves and backends choose names as they like. Must not know labels.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::printable;

/// Distinct values of one label, those that are guaranteed to owners aside.
const MAX_VALUES: usize = 1000;

/// Distinct values that every owner may have, whatever others have.
const GUARANTEED: usize = 8;

/// The value of all names beyond the bound.
const OTHER: &str = "other";

/// The values of a label so far. Names have owners: an owner has a few values in any case, and of the 1,000 of all owners
/// together at most half of those that the others leave. Names beyond that are `other`, so that no owner can take the values
/// of the others. The number of owners must be bounded by the configuration.
#[derive(Debug, Default)]
pub struct BoundedValues(LazyLock<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    known: HashSet<String>,
    /// Number of values of each owner.
    owners: HashMap<String, usize>,
}

impl BoundedValues {
    /// No values so far.
    pub const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// Returns the value for a name that the operator chose. Characters that command a terminal or hide are escaped, here as below.
    pub fn bounded(&self, name: &str) -> String {
        let name = &*printable::line(name);
        let mut values = self.0.lock();
        if values.known.len() < MAX_VALUES && !values.known.contains(name) {
            values.known.insert(name.to_owned());
        }
        values.value(name)
    }

    /// Returns the value for a name that somebody chose for whom `owner` stands.
    pub fn admit(&self, owner: &str, name: &str) -> String {
        let name = &*printable::line(name);
        let mut values = self.0.lock();
        if !values.known.contains(name) && values.has_room(owner) {
            values.known.insert(name.to_owned());
            *values.owners.entry(owner.to_owned()).or_default() += 1;
        }
        values.value(name)
    }

    /// Returns the value for a name that was admitted or not.
    pub fn value(&self, name: &str) -> String {
        self.0.lock().value(&printable::line(name))
    }
}

impl Values {
    fn has_room(&self, owner: &str) -> bool {
        let own = self.owners.get(owner).copied().unwrap_or_default();
        let others = self.known.len() - own;
        own < GUARANTEED || own < MAX_VALUES.saturating_sub(others) / 2
    }

    fn value(&self, name: &str) -> String {
        if self.known.contains(name) { name.to_owned() } else { OTHER.to_owned() }
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

    #[test]
    fn no_owner_takes_the_values_of_the_others() {
        let values = BoundedValues::new();
        let admitted = |owner: &str| {
            let all = (0..5000).map(|n| values.admit(owner, &format!("{owner}-{n}")));
            all.filter(|value| value != OTHER).count()
        };
        let counts: Vec<usize> = (0..30).map(|n| admitted(&format!("owner-{n}"))).collect();
        assert_eq!(counts[..3], [500, 250, 125]);
        assert!(counts[10..].iter().all(|count| *count == GUARANTEED), "{counts:?}");
        assert_eq!(values.admit("owner-0", "owner-1-0"), "owner-1-0", "a value is shared by name");
        assert_eq!((values.value("owner-0-0"), values.value("unknown")), ("owner-0-0".into(), OTHER.into()));
    }
}
