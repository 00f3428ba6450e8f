//! Configuration from environment variables: a snapshot, a declared table, and a reader that collects every problem.
//!
//! Knows no variable by name: services declare theirs with [`crate::variables!`] and read them with [`Reader`].

mod hints;
pub mod parse;
mod problems;
mod reader;
pub mod reference;
mod table;

use std::collections::BTreeMap;
use std::fmt;

pub use hints::misspelt;
pub use problems::{Problem, Problems};
pub use reader::{Loaded, Reader};
#[doc(hidden)]
pub use table::upper_case;
pub use table::{Fallback, Group, Secrecy, Setting, Var};

/// The environment at one moment. Tests make their own; only `main` takes the process's.
#[derive(Clone, Default)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// The environment of this process. Text that is not UTF-8 is taken with replacement characters.
    pub fn of_process() -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// An environment of exactly these variables.
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A variable's value without surrounding white space; empty is the same as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Names that have a value, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for Snapshot {
    /// Names only: values may be secrets.
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
