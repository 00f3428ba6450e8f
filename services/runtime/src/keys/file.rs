//! A file of keys: a key on each line, or YAML. Problems are reported by line and never quote the file.

use std::path::Path;

use super::key::Key;
use crate::document::{Cursor, ListedSecret, Map, SecretFile, SecretFileError, SecretList, fields};
use crate::secret::Secret;

/// Form of the file.
const FORM: SecretFile = SecretFile { noun: "key", list: "keys", max_bytes: 1024 * 1024 };

/// Keys of an entry.
const ENTRY: [&str; 6] = ["key", "sha256", "name", "groups", "not_before", "not_after"];

/// The keys that a file lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysFile(SecretList<Key>);

impl KeysFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    ///
    /// # Errors
    /// What keeps the file from being used.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), SecretFileError> {
        FORM.read(path).map(|(list, content)| (Self(list), content))
    }

    /// Parses the content of a file ([`SecretFile::parse`]).
    ///
    /// # Errors
    /// What keeps the content from being used.
    pub fn from_bytes(content: &[u8]) -> Result<Self, SecretFileError> {
        FORM.parse(content).map(Self)
    }

    /// Returns the text of the first valid key whose text the file has, for a client of the server that reads it.
    pub fn first_text(content: &[u8]) -> Option<Secret> {
        let in_yaml = |cursor: &Cursor<'_>| {
            let (_, text) = read_entry(cursor).filter(|(key, _)| key.is_valid())?;
            text.map(Secret::new)
        };
        FORM.entries(content, in_yaml, |line| Secret::new(line)).into_iter().next()
    }

    /// Returns the keys in the order of the file.
    pub fn keys(&self) -> &[Key] {
        &self.0.entries
    }

    /// Returns the places of keys that are short enough to be guessed, for example `line 2`.
    pub fn short_keys(&self) -> &[String] {
        &self.0.short
    }
}

impl ListedSecret for Key {
    fn from_line(line: &str) -> Self {
        Self::of(line)
    }

    fn from_entry<'a>(cursor: &Cursor<'a>) -> Option<(Self, Option<&'a str>)> {
        read_entry(cursor)
    }

    fn digest(&self) -> [u8; 32] {
        Self::digest(self)
    }

    fn name(&self) -> Option<&str> {
        Self::name(self)
    }
}

/// Reads an entry; the text is that of the key, where the file has it rather than its digest.
fn read_entry<'a>(cursor: &Cursor<'a>) -> Option<(Key, Option<&'a str>)> {
    if cursor.is_text() {
        let text = key_text(cursor)?;
        return Some((Key::of(text), Some(text)));
    }
    let entries = cursor.entries_of(&ENTRY)?;
    let read = match (entries.get("key"), entries.get("sha256")) {
        (Some(value), None) => key_text(&value).map(|text| (Key::of(text), Some(text))),
        (None, Some(value)) => fields::sha256(&value).map(|digest| (Key::of_digest(digest), None)),
        _ => {
            cursor.error("either key, or sha256 (the SHA-256 of the key in hex)");
            None
        }
    };
    let holder = holder(&entries);
    let (key, text) = read?;
    let time = |name| entries.get(name).and_then(|cursor| fields::time(&cursor));
    let key = key.valid(time("not_before"), time("not_after"));
    if let (Some(from), Some(end)) = (key.not_before, key.not_after)
        && from >= end
    {
        cursor.error("a not_before that is earlier than not_after");
    }
    let groups = groups(&entries, holder.is_some());
    Some((holder.map_or(key.clone(), |name| key.named(&name)).grouped(groups), text))
}

/// Reads the groups of a key's holder. Only a holder with a name has groups.
fn groups(entries: &Map<'_>, is_named: bool) -> Vec<String> {
    let expected = "a group of 1 to 63 letters, digits, '-', '_' or '.'";
    let Some(cursor) = entries.get("groups") else { return Vec::new() };
    if !is_named {
        cursor.error("a name beside groups, since groups belong to the holder of a key");
    }
    let read =
        |item: &Cursor<'_>| fields::parse(item, expected, |text| is_name(text).then(|| text.to_owned()));
    cursor.one_or_many().iter().filter_map(read).collect()
}

/// Returns whether a text can be the name of a holder or a group.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

fn key_text<'a>(cursor: &Cursor<'a>) -> Option<&'a str> {
    let expected = "a key: text without commas, in quotes if it looks like a number";
    let text = cursor.text(expected)?.trim();
    if text.contains(',') {
        cursor.error(expected);
        return None;
    }
    Some(text)
}

fn holder(entries: &Map<'_>) -> Option<String> {
    let expected = "a name of 1 to 63 letters, digits, '-', '_' or '.'";
    let cursor = entries.get("name")?;
    let name = cursor.text(expected)?.trim();
    if !is_name(name) {
        cursor.error(expected);
        return None;
    }
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeysFile, String> {
        KeysFile::from_bytes(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_plain_file_has_a_key_on_each_line() {
        let file = parse("\u{feff}# ours\none\n\n  two \r\n").unwrap();
        assert_eq!(file.keys(), [Key::of("one"), Key::of("two")]);
        assert_eq!(file.short_keys(), ["line 2", "line 4"]);
        assert!(parse("").unwrap().keys().is_empty());
        for (bad, expected) in [("a,hush\n", "line 1"), ("hush\nhush\n", "line 2")] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_yaml_file_has_names_digests_and_times() {
        let cat = "77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e";
        let file = parse(&format!(
            "keys:\n- {{key: one-key-of-sixteen, name: ci}}\n- {{sha256: '{cat}', name: ci, groups: [dev, ops]}}\n- {{key: short, name: cd}}\n\
             - plain\n- {{key: old, not_after: 2020-01-01T00:00:00Z}}\n"
        ))
        .unwrap();
        assert_eq!(file.keys()[0].name(), Some("ci"));
        assert_eq!(file.keys()[0].identity(), file.keys()[1].identity());
        assert_eq!(file.keys()[1].groups(), ["dev", "ops"]);
        assert!(file.keys()[0].groups().is_empty());
        assert_eq!(file.keys()[1].digest(), Key::of("cat").digest());
        assert_eq!(file.keys()[3], Key::of("plain"));
        assert!(!file.keys()[4].is_valid());
        assert_eq!(file.short_keys(), ["line 4 (cd)", "line 5", "line 6"]);
        assert!(parse("keys:\n").unwrap().keys().is_empty());
    }

    #[test]
    fn problems_are_reported_by_line_and_never_quote_the_file() {
        for (bad, expected) in [
            ("- {key: hush, name: a}\n- {key: hush, name: b}\n", "line 2"),
            ("- {key: hush, sha256: hush}\n", "either key, or sha256"),
            ("- {key: hush, name: 'hush hush'}\n", "letters"),
            ("- {key: hush, nme: hush}\n", "unknown key"),
            ("- {key: hush, groups: [hush]}\n", "a name beside groups"),
            ("- {key: hush, name: a, groups: ['hush hush']}\n", "a group of 1 to 63"),
            ("- {key: hush, name: a, groups: {hush: 1}}\n", "a group of 1 to 63"),
            ("- {key: hush, not_after: hush}\n", "RFC 3339"),
            ("- {sha256: hush}\n", "64 hex"),
            ("- {key: 'hush,hush'}\n", "without commas"),
            ("- {key: h, not_before: 2027-01-01T00:00:00Z, not_after: 2026-01-01T00:00:00Z}\n", "earlier"),
            ("- [hush\n", "YAML"),
            ("keys: hush\n", "a list of keys"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hush"), "{bad}: {error}");
        }
        assert!(matches!(KeysFile::from_bytes(&[b'-', b' ', 0xff]), Err(SecretFileError::NotText(_))));
    }
}
