//! A map by kind and name that is read without making a key. Must not know its values.

use std::collections::HashMap;

use protocol::mcp::kind::Kind;

/// Values by kind and name.
pub(super) struct ByKind<T>([HashMap<String, T>; Kind::ALL.len()]);

impl<T> Default for ByKind<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| HashMap::new()))
    }
}

impl<T> ByKind<T> {
    /// Returns the value of this kind and name.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&T> {
        self.0[kind as usize].get(name)
    }

    /// Sets the value of this kind and name.
    pub(super) fn insert(&mut self, kind: Kind, name: String, value: T) {
        self.0[kind as usize].insert(name, value);
    }

    /// Returns all names and values of a kind, in no particular order.
    pub(super) fn entries(&self, kind: Kind) -> impl Iterator<Item = (&str, &T)> {
        self.0[kind as usize].iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns all values of a kind, in no particular order.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &T> {
        self.0[kind as usize].values()
    }
}
