//! List of definitions, borrowed from the message that has it: names are checked, nothing is copied yet. Must not know backends.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::{CatalogEntry, ListKind, MAX_TOOL_NAME, check_name, name_of};
use super::error::CatalogError;
use super::hints::ListHints;
use crate::mcp::object::Object;

/// List of definitions as a message has it.
#[derive(Clone, Debug)]
pub struct RawList<'a> {
    kind: ListKind,
    items: Vec<&'a RawValue>,
    bytes: usize,
    hints: ListHints,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListJson<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    ttl_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cache_scope: Option<&'a RawValue>,
}

impl<'a> RawList<'a> {
    /// Reads a list of a part: an object with `items`. Names are checked, the rest of the definitions is not.
    ///
    /// # Errors
    /// The text is not of the form, or has an unusable name.
    pub fn parse(kind: ListKind, json: &'a str) -> Result<Self, CatalogError> {
        let Object(ListJson { items, ttl_ms, cache_scope }) = serde_json::from_str(json)?;
        Ok(Self { hints: ListHints::read(ttl_ms, cache_scope), ..Self::of(kind, items)? })
    }

    /// Makes a list of these definitions.
    ///
    /// # Errors
    /// A definition lacks a name, or has an unusable one.
    pub fn of(kind: ListKind, items: Vec<&'a RawValue>) -> Result<Self, CatalogError> {
        let mut seen = HashSet::new();
        for item in &items {
            let name = name_of(kind, item)?;
            if !kind.has_names() {
                continue;
            }
            if let Err(reason) = check_name(&name) {
                return Err(bad_name(kind, &name, reason));
            }
            if seen.contains(&name) {
                return Err(bad_name(kind, &name, "it appears twice"));
            }
            seen.insert(name);
        }
        let bytes = items.iter().map(|item| item.get().len()).sum();
        Ok(Self { kind, items, bytes, hints: ListHints::default() })
    }

    /// Returns the hints for caches.
    pub fn hints(&self) -> ListHints {
        self.hints
    }

    /// Returns the kind of the list.
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// Returns the number of definitions.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether there is no definition.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the bytes of all definitions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns a hash of kind and definitions. Equal lists have equal hashes.
    pub fn hash(&self, state: &impl BuildHasher) -> u64 {
        let mut hasher = state.build_hasher();
        self.kind.hash(&mut hasher);
        self.items.iter().for_each(|item| item.get().hash(&mut hasher));
        hasher.finish()
    }

    /// Returns whether these entries are what the list has, byte for byte. Hints are not compared.
    pub fn is(&self, entries: &[Arc<CatalogEntry>]) -> bool {
        let same = |(item, entry): (&&RawValue, &Arc<CatalogEntry>)| item.get() == entry.definition.get();
        self.items.len() == entries.len() && self.items.iter().zip(entries).all(same)
    }

    /// Copies the definitions out of the message.
    ///
    /// # Errors
    /// A definition lacks a name, which reading the list has ruled out.
    pub fn entries(&self) -> Result<Vec<Arc<CatalogEntry>>, CatalogError> {
        let entry = |item: &&RawValue| Ok(Arc::new(CatalogEntry::read(self.kind, item)?));
        self.items.iter().map(entry).collect()
    }
}

fn bad_name(kind: ListKind, name: &str, reason: &'static str) -> CatalogError {
    CatalogError::BadName { list: kind.name(), name: name.chars().take(MAX_TOOL_NAME).collect(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_have_equal_hashes_and_other_lists_are_other_lists() {
        let state = foldhash::fast::FixedState::default();
        let list = |kind, json| RawList::parse(kind, json).unwrap();
        let one = list(ListKind::Tools, r#"{"items":[{"name":"a"},{"name":"b"}]}"#);
        let same = list(ListKind::Tools, r#"{"ttlMs":1, "items": [{"name":"a"}, {"name":"b"}]}"#);
        assert_eq!(one.hash(&state), same.hash(&state));
        assert!(same.is(&one.entries().unwrap()));
        let other = list(ListKind::Tools, r#"{"items":[{"name":"b"},{"name":"a"}]}"#);
        assert!(!other.is(&one.entries().unwrap()) && other.hash(&state) != one.hash(&state));
        let prompts = list(ListKind::Prompts, r#"{"items":[{"name":"a"},{"name":"b"}]}"#);
        assert_ne!(prompts.hash(&state), one.hash(&state));
    }

    #[test]
    fn an_unusable_name_is_named_in_the_error() {
        for json in [
            r#"{"items":[{"name":""}]}"#,
            r#"{"items":[{"name":"a\n"}]}"#,
            r#"{"items":[{"name":"a"},{"name":"a"}]}"#,
        ] {
            let error = RawList::parse(ListKind::Tools, json).unwrap_err();
            assert!(matches!(error, CatalogError::BadName { list: "tools", .. }), "{json}");
        }
        for json in [r#"{"items":[{}]}"#, r#"{"items":[1]}"#, r#"{"items":{}}"#, "{}", "[]", "null"] {
            let error = RawList::parse(ListKind::Tools, json).unwrap_err();
            assert!(matches!(error, CatalogError::Malformed(_)), "{json}");
        }
        assert!(RawList::parse(ListKind::Resources, r#"{"items":[{"uri":"a"},{"uri":"a"}]}"#).is_ok());
    }
}
