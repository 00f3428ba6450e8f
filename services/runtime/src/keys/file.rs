//! A file of keys: a key on each line, or YAML. Problems are reported by line and never quote the file.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::key::Key;
use crate::document::{Cursor, Document, DocumentProblems, Map, Rendered, fields};
use crate::secret::{Secret, is_short};

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Keys of an entry.
const ENTRY: [&str; 5] = ["key", "sha256", "name", "not_before", "not_after"];

/// The keys that a file lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysFile {
    pub(super) keys: Vec<Key>,
    /// Places of keys that are short enough to be guessed.
    short: Vec<String>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysFileError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is not UTF-8 text, or larger than the limit.
    #[error("it is not UTF-8 text of at most {MAX_FILE_BYTES} bytes")]
    NotText,
    /// Lines of a plain file are not keys.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// The YAML has problems.
    #[error(transparent)]
    Yaml(#[from] DocumentProblems),
}

impl KeysFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), KeysFileError> {
        if std::fs::metadata(path)?.len() > MAX_FILE_BYTES {
            return Err(KeysFileError::NotText);
        }
        let content = std::fs::read(path)?;
        Ok((Self::from_bytes(&content)?, content))
    }

    /// Parses the content of a file: YAML if the first line begins with `keys:`, `- ` or `---`, otherwise a key on each
    /// line.
    pub fn from_bytes(content: &[u8]) -> Result<Self, KeysFileError> {
        let text = std::str::from_utf8(content).map_err(|_| KeysFileError::NotText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if is_yaml(text) {
            Ok(Document::parse(text, Rendered::Hidden)?.read(Rendered::Hidden, read_yaml)?)
        } else {
            read_lines(text).map_err(KeysFileError::Lines)
        }
    }

    /// Returns the text of the first key in a file's content that is there as text and valid: for clients of this
    /// process's own servers.
    pub fn first_text(content: &[u8]) -> Option<Secret> {
        let text = std::str::from_utf8(content).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !is_yaml(text) {
            let mut lines =
                text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            return lines.next().map(Secret::new);
        }
        let mut found = None;
        let read = |root: &Cursor<'_>| {
            let entries = key_list(root).into_iter().filter_map(|cursor| read_entry(&cursor));
            found = entries.filter(|(key, _)| key.is_valid()).find_map(|(_, text)| text.map(Secret::new));
        };
        // Problems in other entries are the server's to report.
        let _ = Document::parse(text, Rendered::Hidden).ok()?.read(Rendered::Hidden, read);
        found
    }

    /// Returns the keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Returns the places of keys that are short enough to be guessed, for example `line 2`.
    pub fn short_keys(&self) -> &[String] {
        &self.short
    }

    fn add(&mut self, key: Key, text: Option<&str>, line: u64) {
        if text.is_some_and(is_short) {
            let name = key.name().map(|name| format!(" ({name})")).unwrap_or_default();
            self.short.push(format!("line {line}{name}"));
        }
        self.keys.push(key);
    }
}

fn is_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        line == "-" || line.starts_with("- ") || line.starts_with("---") || line.starts_with("keys:")
    })
}

/// Reads a plain file. Empty lines and those that begin with `#` are skipped.
fn read_lines(text: &str) -> Result<KeysFile, Vec<String>> {
    let (mut file, mut problems, mut seen) = (KeysFile::default(), Vec::new(), HashMap::new());
    for (number, line) in (1_u64..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = Key::of(line);
        if line.contains(',') {
            problems.push(format!("line {number}: expected one key without commas"));
        } else if let Some(first) = seen.insert(key.digest(), number) {
            problems.push(format!("line {number}: expected another key than line {first} has"));
        }
        file.add(key, Some(line), number);
    }
    if problems.is_empty() { Ok(file) } else { Err(problems) }
}

/// Reads the entries of a YAML file. A key in two entries is a problem: it would have two holders.
fn read_yaml(root: &Cursor<'_>) -> KeysFile {
    let (mut file, mut seen) = (KeysFile::default(), HashMap::new());
    for cursor in key_list(root) {
        let Some((key, text)) = read_entry(&cursor) else { continue };
        if let Some(first) = seen.insert(key.digest(), cursor.line()) {
            cursor.error(format!("another key than the entry in line {first} has"));
        }
        file.add(key, text, cursor.line());
    }
    file
}

fn key_list<'a>(root: &Cursor<'a>) -> Vec<Cursor<'a>> {
    let expected = "a list of keys, or \"keys:\" with such a list";
    if root.is_list() {
        return root.items(expected);
    }
    let list = root.entries_of(&["keys"]).and_then(|top| top.required("keys", expected));
    list.filter(|list| !list.is_null()).map(|list| list.items(expected)).unwrap_or_default()
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
    Some((holder.map_or(key.clone(), |name| key.named(&name)), text))
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
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() > 63 || !name.bytes().all(fits) {
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
        assert_eq!(file.keys, [Key::of("one"), Key::of("two")]);
        assert_eq!(file.short_keys(), ["line 2", "line 4"]);
        assert!(parse("").unwrap().keys.is_empty());
        for (bad, expected) in [("a,hush\n", "line 1"), ("hush\nhush\n", "line 2")] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_yaml_file_has_names_digests_and_times() {
        let cat = "77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e";
        let file = parse(&format!(
            "keys:\n- {{key: one-key-of-sixteen, name: ci}}\n- {{sha256: '{cat}', name: ci}}\n- {{key: short, name: cd}}\n\
             - plain\n- {{key: old, not_after: 2020-01-01T00:00:00Z}}\n"
        ))
        .unwrap();
        assert_eq!(file.keys[0].name(), Some("ci"));
        assert_eq!(file.keys[0].identity(), file.keys[1].identity());
        assert_eq!(file.keys[1].digest(), Key::of("cat").digest());
        assert_eq!(file.keys[3], Key::of("plain"));
        assert!(!file.keys[4].is_valid());
        assert_eq!(file.short_keys(), ["line 4 (cd)", "line 5", "line 6"]);
        assert!(parse("keys:\n").unwrap().keys.is_empty());
    }

    #[test]
    fn problems_are_reported_by_line_and_never_quote_the_file() {
        for (bad, expected) in [
            ("- {key: hush, name: a}\n- {key: hush, name: b}\n", "line 2"),
            ("- {key: hush, sha256: hush}\n", "either key, or sha256"),
            ("- {key: hush, name: 'hush hush'}\n", "letters"),
            ("- {key: hush, nme: hush}\n", "unknown key"),
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
        assert!(matches!(KeysFile::from_bytes(&[b'-', b' ', 0xff]), Err(KeysFileError::NotText)));
    }
}
