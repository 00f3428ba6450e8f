//! `SLAVE_CODES_FILE`: one code a line, or YAML. Says what is wrong by line, and never shows what stands there.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use runtime::document::{Cursor, Document, DocumentProblems, Rendered};

use super::code::CodeDigest;
use super::entry::{Entry, read_entry};
use super::policy::Grant;

/// Largest file that is read, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// The codes of a file.
#[derive(Clone, Debug, Default)]
pub struct CodesFile {
    pub(super) entries: Vec<Entry>,
}

/// Why a file of codes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodesFileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is no text, or larger than a list of codes can be.
    #[error("it is not UTF-8 text of at most {MOST} bytes")]
    NotText,
    /// Lines of a plain file that are no codes.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// Something in a YAML file is wrong.
    #[error(transparent)]
    Map(#[from] DocumentProblems),
}

impl CodesFile {
    /// Reads and checks a file; gives its bytes too. Blocks.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), CodesFileError> {
        if std::fs::metadata(path)?.len() > MOST {
            return Err(CodesFileError::NotText);
        }
        let content = std::fs::read(path)?;
        Ok((Self::from_bytes(&content)?, content))
    }

    /// Checks the content of a file.
    pub fn from_bytes(content: &[u8]) -> Result<Self, CodesFileError> {
        Self::parse(std::str::from_utf8(content).map_err(|_| CodesFileError::NotText)?)
    }

    /// Checks text: YAML if it begins like it (`codes:`, `- ` or `---`), otherwise one code a line.
    pub fn parse(text: &str) -> Result<Self, CodesFileError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let entries = if is_yaml(text) {
            Document::parse(text, Rendered::Hidden)?.read(Rendered::Hidden, yaml)?
        } else {
            lines(text).map_err(CodesFileError::Lines)?
        };
        Ok(Self { entries })
    }

    /// How many codes it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn is_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| {
        line == "-" || line.starts_with("- ") || line.starts_with("---") || line.starts_with("codes:")
    })
}

fn lines(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    let mut seen = HashMap::new();
    for (number, line) in (1_u64..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let digest = CodeDigest::of(line);
        if line.contains(',') {
            faults.push(format!("line {number}: expected one code without commas"));
        } else if let Some(first) = seen.insert(digest, number) {
            faults.push(format!("line {number}: expected another code than line {first} has"));
        }
        entries.push(Entry { digest, grant: Arc::new(Grant::default()) });
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Two entries with one code would be two identities.
fn yaml(root: &Cursor<'_>) -> Vec<Entry> {
    let mut seen = HashMap::new();
    let mut entries = Vec::new();
    for place in list(root) {
        let Some(entry) = read_entry(&place) else { continue };
        if let Some(first) = seen.insert(entry.digest, place.line()) {
            place.error(format!("another code than the entry in line {first} has"));
        }
        entries.push(entry);
    }
    entries
}

fn list<'a>(root: &Cursor<'a>) -> Vec<Cursor<'a>> {
    let expected = "a list of codes, or \"codes:\" with such a list";
    if root.is_list() {
        return root.items(expected);
    }
    let codes = root.entries_of(&["codes"]).and_then(|top| top.get("codes"));
    codes.filter(|codes| !codes.is_null()).map(|codes| codes.items(expected)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        CodesFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn plain_files_have_one_code_a_line() {
        let file = CodesFile::parse("\u{feff}# ours\n\n code1 \r\nco de#2\n").unwrap();
        let digests: Vec<CodeDigest> = file.entries.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, [CodeDigest::of("code1"), CodeDigest::of("co de#2")]);
        assert!(CodesFile::parse("# nothing\n").unwrap().is_empty());
        assert!(faults("hush\n\nhush,hush2").contains("line 3: expected one code without commas"));
        assert!(faults("hush\n\nhush").contains("line 3: expected another code than line 1"));
    }

    #[test]
    fn yaml_is_a_list_or_codes_with_one() {
        for text in ["- a\n- b\n", "---\ncodes:\n  - a\n  - code: b\n", "# x\ncodes: [a, {code: b}]\n"] {
            assert_eq!(CodesFile::parse(text).unwrap().len(), 2, "{text}");
        }
        assert!(CodesFile::parse("codes:\n").unwrap().is_empty());
        for wrong in
            ["codes: hush\n", "codes: []\nhush: hush\n", "--- hush\n", "codes: {a: hush}\n", "- [hush]\n"]
        {
            let text = faults(wrong);
            assert!(text.contains("code") && !text.contains("hush"), "{wrong}: {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_never_shown() {
        let text = faults("- {code: hush1, name: a}\n- {code: hush1, name: b}\n");
        assert!(text.contains("line 2") && text.contains("the entry in line 1"), "{text}");
        let text = faults("- hush1\n- {code: 12345, name: office}\n- {hush3: hush2}\n");
        assert!(text.contains("line 2 [1].code: ") && text.contains("line 3"), "{text}");
        assert!(!text.contains("12345") && !text.contains("hush"), "{text}");
        for broken in
            ["- code: \"hush\n", "- {code: hush, code: hush}\n", "- [hush\n", "- &hush a\n- *hush2\n"]
        {
            assert!(!faults(broken).contains("hush"), "{broken}: {}", faults(broken));
        }
        assert!(matches!(CodesFile::from_bytes(&[b'-', b' ', 0xff]), Err(CodesFileError::NotText)));
    }
}
