//! A copy of the process's environment. Knows no variable by name.

use std::collections::BTreeMap;
use std::fmt;

/// A copy of the environment. Only `main` reads that of the process; tests create their own.
#[derive(Clone, Default)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// Reads the environment of this process. Text that is not UTF-8 gets replacement characters.
    pub fn of_process() -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// Creates an environment of exactly these variables.
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Returns the value of a variable without surrounding white space; an empty value counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns the names of all variables with a value, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for Snapshot {
    /// Writes names only, because values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_values_stay_out_of_debug() {
        let snapshot = Snapshot::of([("A", ""), ("B", "  "), ("C", " secret-value ")]);
        assert_eq!(snapshot.get("A"), None);
        assert_eq!(snapshot.get("B"), None);
        assert_eq!(snapshot.get("C"), Some("secret-value"));
        assert_eq!(snapshot.names().collect::<Vec<_>>(), ["C"]);
        assert!(!format!("{snapshot:?}").contains("secret-value"));
    }
}
