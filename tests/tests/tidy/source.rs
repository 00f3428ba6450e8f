//! The project's files as text, and with comments and literals blanked out. Knows no rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One Rust file.
pub(crate) struct Source {
    /// Path below the project's root.
    pub(crate) path: String,
    /// The text of the file.
    pub(crate) text: String,
    /// The text with comments and literals replaced by spaces.
    pub(crate) code: String,
}

impl Source {
    /// Parses the file; panics if it is no Rust.
    pub(crate) fn parse(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// Returns the code before the file's inline tests.
    pub(crate) fn shipped(&self) -> &str {
        let end = self.code.find("#[cfg(test)]\nmod tests").unwrap_or(self.code.len());
        &self.code[..end]
    }
}

/// Fails with all faults, if there are any.
pub(crate) fn report(faults: &BTreeSet<String>) {
    let faults: Vec<_> = faults.iter().map(String::as_str).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The project's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file below the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file of the project.
pub(crate) fn all() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["services", "tests", "fuzz"] {
        walk(&root().join(folder), &mut |path| {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                let code = blank(&text);
                found.push(Source { path, text, code });
            }
        });
    }
    assert!(found.len() > 20, "the walk finds the sources");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Calls `visit` for every file below `folder`, build output and hidden folders left out.
pub(crate) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        if entry.path().is_file() {
            visit(&entry.path());
        } else if !hidden
            && !["target", "corpus", "artifacts", "node_modules"].iter().any(|skip| name == *skip)
        {
            walk(&entry.path(), visit);
        }
    }
}

/// Replaces comments, strings and characters by spaces; newlines stay.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal(&bytes[at..], at > 0 && is_word(bytes[at - 1]));
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("blanks replace whole literals")
}

/// Returns the length of the comment or literal that starts here, 0 if there is none.
fn literal(rest: &[u8], in_word: bool) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |at| at + 2),
        [b'"', ..] => quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !in_word => raw(rest),
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', tail @ ..] => {
            // A character ends with a quote after one code point; a lifetime does not.
            let width =
                tail.first().map_or(1, |b| if *b < 0x80 { 1 } else { (b.leading_ones() as usize).max(1) });
            if tail.get(width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let start = hashes + 2;
    find(&rest[start..], &end).map_or(rest.len(), |at| start + at + end.len())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `code` contains `word` as a whole word (or path).
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].bytes().next_back();
        let after = code[at + word.len()..].bytes().next();
        !before.is_some_and(is_word) && !after.is_some_and(|b| is_word(b) && !word.ends_with("::"))
    })
}

#[test]
fn blanking_hides_literals_and_keeps_lines() {
    let text = "a \"}\\\"{\" b // }\n'{' 'x r#\"}\"#; /* { */ c '\\'' br\"{\"";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 2);
    assert!(!code.contains(['{', '}']), "{code}");
    assert!(code.contains("'x") && code.contains(" b ") && code.contains(" c "), "{code}");
}

#[test]
fn words_are_whole() {
    assert!(has_word("use front::x;", "front::"));
    assert!(!has_word("upfront::x;", "front::"));
    assert!(!has_word("tokio_x", "tokio"));
}
