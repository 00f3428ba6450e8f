//! `SLAVE_CODES_FILE`: a code on each line, or YAML. Problems are reported by line and never quote the file.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use runtime::document::{Cursor, Document, DocumentProblems, Rendered};
use runtime::secret::is_short;

use super::code::CodeDigest;
use super::entry::{CodeEntry, read_entry};
use super::policy::CodePolicy;

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The codes that a file lists.
#[derive(Clone, Debug, Default)]
pub struct CodesFile {
    pub(super) entries: Vec<CodeEntry>,
    /// Places of codes that are short enough to be guessed.
    short: Vec<String>,
}

/// Why a file of codes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodesFileError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is not UTF-8 text, or larger than the limit.
    #[error("it is not UTF-8 text of at most {MAX_FILE_BYTES} bytes")]
    NotText,
    /// Lines of a plain file are not codes.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// The YAML has problems.
    #[error(transparent)]
    Yaml(#[from] DocumentProblems),
}

impl CodesFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), CodesFileError> {
        if std::fs::metadata(path)?.len() > MAX_FILE_BYTES {
            return Err(CodesFileError::NotText);
        }
        let content = std::fs::read(path)?;
        Ok((Self::from_bytes(&content)?, content))
    }

    /// Parses the content of a file.
    pub fn from_bytes(content: &[u8]) -> Result<Self, CodesFileError> {
        Self::parse(std::str::from_utf8(content).map_err(|_| CodesFileError::NotText)?)
    }

    /// Parses text: YAML if the first line begins with `codes:`, `- ` or `---`, otherwise a code on each line.
    pub fn parse(text: &str) -> Result<Self, CodesFileError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if is_yaml(text) {
            Ok(Document::parse(text, Rendered::Hidden)?.read(Rendered::Hidden, read_yaml)?)
        } else {
            read_lines(text).map_err(CodesFileError::Lines)
        }
    }

    /// Returns the places of codes that are short enough to be guessed, for example `line 2`.
    pub fn short_codes(&self) -> &[String] {
        &self.short
    }

    fn add(&mut self, entry: CodeEntry, code: Option<&str>, line: u64) {
        if code.is_some_and(is_short) {
            let name = entry.policy.name().map(|name| format!(" ({name})")).unwrap_or_default();
            self.short.push(format!("line {line}{name}"));
        }
        self.entries.push(entry);
    }

    /// Returns the number of codes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the file has no code.
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

/// Reads a plain file. Empty lines and those that begin with `#` are skipped.
fn read_lines(text: &str) -> Result<CodesFile, Vec<String>> {
    let (mut file, mut problems) = (CodesFile::default(), Vec::new());
    let mut seen = HashMap::new();
    for (number, line) in (1_u64..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let digest = CodeDigest::of(line);
        if line.contains(',') {
            problems.push(format!("line {number}: expected one code without commas"));
        } else if let Some(first) = seen.insert(digest, number) {
            problems.push(format!("line {number}: expected another code than line {first} has"));
        }
        file.add(CodeEntry { digest, policy: Arc::new(CodePolicy::default()) }, Some(line), number);
    }
    if problems.is_empty() { Ok(file) } else { Err(problems) }
}

/// Reads the entries of a YAML file. A code in two entries is a problem: it would have two identities.
fn read_yaml(root: &Cursor<'_>) -> CodesFile {
    let (mut file, mut seen) = (CodesFile::default(), HashMap::new());
    for cursor in code_list(root) {
        let Some(entry) = read_entry(&cursor) else { continue };
        if let Some(first) = seen.insert(entry.digest, cursor.line()) {
            cursor.error(format!("another code than the entry in line {first} has"));
        }
        let code = cursor.as_text().or_else(|| cursor.entries("an entry")?.get("code")?.as_text());
        file.add(entry, code, cursor.line());
    }
    file
}

fn code_list<'a>(root: &Cursor<'a>) -> Vec<Cursor<'a>> {
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

    fn problems(text: &str) -> String {
        CodesFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn plain_files_have_a_code_on_each_line() {
        let file = CodesFile::parse("\u{feff}# ours\n\n code1 \r\nco de#2\n").unwrap();
        let digests: Vec<CodeDigest> = file.entries.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, [CodeDigest::of("code1"), CodeDigest::of("co de#2")]);
        assert!(CodesFile::parse("# nothing\n").unwrap().is_empty());
        assert_eq!(file.short_codes(), ["line 3", "line 4"]);
        assert!(problems("hush\n\nhush,hush2").contains("line 3: expected one code without commas"));
        assert!(problems("hush\n\nhush").contains("line 3: expected another code than line 1"));
    }

    #[test]
    fn yaml_is_a_list_or_a_mapping_with_the_list_under_codes() {
        for text in ["- a\n- b\n", "---\ncodes:\n  - a\n  - code: b\n", "# x\ncodes: [a, {code: b}]\n"] {
            assert_eq!(CodesFile::parse(text).unwrap().len(), 2, "{text}");
        }
        assert!(CodesFile::parse("codes:\n").unwrap().is_empty());
        let file = CodesFile::parse("- code-of-sixteen-c\n- {code: a, name: lab}\n- b\n").unwrap();
        assert_eq!(file.short_codes(), ["line 2 (lab)", "line 3"]);
        for wrong in
            ["codes: hush\n", "codes: []\nhush: hush\n", "--- hush\n", "codes: {a: hush}\n", "- [hush]\n"]
        {
            let text = problems(wrong);
            assert!(text.contains("code") && !text.contains("hush"), "{wrong}: {text}");
        }
    }

    #[test]
    fn problems_are_reported_by_line_and_never_quote_the_file() {
        let text = problems("- {code: hush1, name: a}\n- {code: hush1, name: b}\n");
        assert!(text.contains("line 2") && text.contains("the entry in line 1"), "{text}");
        let text = problems("- hush1\n- {code: 12345, name: office}\n- {hush3: hush2}\n");
        assert!(text.contains("line 2 [1].code: ") && text.contains("line 3"), "{text}");
        assert!(!text.contains("12345") && !text.contains("hush"), "{text}");
        for broken in
            ["- code: \"hush\n", "- {code: hush, code: hush}\n", "- [hush\n", "- &hush a\n- *hush2\n"]
        {
            assert!(!problems(broken).contains("hush"), "{broken}: {}", problems(broken));
        }
        assert!(matches!(CodesFile::from_bytes(&[b'-', b' ', 0xff]), Err(CodesFileError::NotText)));
    }
}
