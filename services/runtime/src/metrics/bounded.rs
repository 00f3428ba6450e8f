//! Values of an open label, bounded: clients, slaves and backends make names up as they like. Knows no label by name.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Distinct values of one label.
const MAX_VALUES: usize = 1000;

/// What later values are counted under.
const OTHER: &str = "other";

/// Values seen so far. The first 1,000 have their names, later ones are `other`.
#[derive(Debug, Default)]
pub struct BoundedValues(LazyLock<Mutex<HashSet<String>>>);

impl BoundedValues {
    /// None so far.
    pub const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// What to count this one under.
    pub fn bounded(&self, name: &str) -> String {
        let mut seen = self.0.lock();
        if seen.contains(name) {
            return name.to_owned();
        }
        if seen.len() >= MAX_VALUES {
            return OTHER.to_owned();
        }
        seen.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_and_stay_what_they_were() {
        let names = BoundedValues::new();
        let seen: HashSet<String> =
            (0..2 * MAX_VALUES).map(|n| names.bounded(&format!("tool-{n}"))).collect();
        assert_eq!(seen.len(), MAX_VALUES + 1);
        assert_eq!((names.bounded("tool-0"), names.bounded("more")), ("tool-0".into(), OTHER.into()));
    }
}
