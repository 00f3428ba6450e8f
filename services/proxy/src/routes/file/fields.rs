//! Fields that several sections of the file share: tool names, tests of texts, label selectors. Must not know rules.

use std::collections::BTreeMap;

use runtime::document::{Cursor, Map};

use crate::routes::selector::{LabelMatch, Selector};
use crate::routes::text::TextMatch;

/// Digests of the clients' keys, by the names of the section `clients:`.
pub(super) type Clients = BTreeMap<String, Vec<[u8; 32]>>;

/// Entries of one list.
const MAX_ENTRIES: usize = 1000;

/// Expected form of labels, for messages that begin with "expected".
pub(super) const EXPECTED_LABELS: &str =
    "the labels that slaves must have, say {platform: gitlab}, a list of such, or any";

/// Reads a name, a prefix that ends with `*`, or a mapping such as `{regex: …}`.
pub(super) fn tool(cursor: &Cursor<'_>) -> Option<TextMatch> {
    if cursor.is_text() {
        let text = cursor.text("a tool's name")?;
        return accept(cursor, TextMatch::name_or_prefix(text));
    }
    text_match(cursor, &cursor.entries_of(&["equals", "prefix", "regex"])?, &["equals", "prefix", "regex"])
}

/// Reads the test of an entry, of which there must be exactly one.
pub(super) fn text_match(cursor: &Cursor<'_>, entries: &Map<'_>, kinds: &[&str]) -> Option<TextMatch> {
    let given: Vec<(&str, Cursor<'_>)> = entries.all().filter(|(key, _)| kinds.contains(key)).collect();
    let [(kind, value)] = given.as_slice() else {
        cursor.error(format!("exactly one of {}", kinds.join(", ")));
        return None;
    };
    let read = match *kind {
        "equals" => Ok(TextMatch::Equals(value.scalar("a text, a number or a flag")?)),
        "prefix" => Ok(TextMatch::Prefix(value.text("a text")?.to_owned())),
        "regex" => TextMatch::regex(value.text("a regular expression")?),
        _ => TextMatch::host(value.text("a host name")?),
    };
    accept(value, read)
}

/// Returns the value that was read, or reports what was expected instead.
pub(super) fn accept<T>(cursor: &Cursor<'_>, read: Result<T, String>) -> Option<T> {
    read.map_err(|expected| cursor.error(expected)).ok()
}

/// Reads a label selector; `any` selects every slave.
pub(super) fn selector(cursor: &Cursor<'_>) -> Option<Selector> {
    if cursor.is_text() {
        return match cursor.text(EXPECTED_LABELS)? {
            "any" => Some(Selector::default()),
            _ => accept(cursor, Err(EXPECTED_LABELS.into())),
        };
    }
    let labels = cursor.entries(EXPECTED_LABELS)?;
    let condition = |cursor: &Cursor<'_>| {
        if cursor.is_null() {
            return LabelMatch::Absent;
        }
        let value =
            |cursor: &Cursor<'_>| cursor.scalar("a label's value, a list of values, or null for none");
        LabelMatch::OneOf(cursor.one_or_many().iter().filter_map(value).collect())
    };
    Some(Selector(labels.all().map(|(key, cursor)| (key.to_owned(), condition(&cursor))).collect()))
}

/// Reads the items of a list of at most [`MAX_ENTRIES`].
pub(super) fn list<'a>(cursor: &Cursor<'a>, expected: &str) -> Vec<Cursor<'a>> {
    let items = cursor.items(expected);
    if items.len() > MAX_ENTRIES {
        cursor.error(format!("at most {MAX_ENTRIES} entries"));
    }
    items
}
