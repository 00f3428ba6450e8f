//! `SLAVE_CODES_FILE`: a code on each line, or YAML. Problems are reported by line and never quote the file.

use std::path::Path;
use std::sync::Arc;

use runtime::document::{Cursor, ListedSecret, SecretFile, SecretFileError, SecretList};

use super::code::CodeDigest;
use super::entry::{CodeEntry, read_entry};

/// Form of the file.
const FORM: SecretFile = SecretFile { noun: "code", list: "codes", max_bytes: 16 * 1024 * 1024 };

/// The codes that a file lists.
#[derive(Clone, Debug, Default)]
pub struct CodesFile {
    pub(super) entries: Vec<CodeEntry>,
    /// Places of codes that are short enough to be guessed.
    short: Vec<String>,
}

impl CodesFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    ///
    /// # Errors
    /// What keeps the file from being used.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), SecretFileError> {
        FORM.read(path).map(|(list, content)| (Self::from(list), content))
    }

    /// Parses the content of a file ([`SecretFile::parse`]).
    ///
    /// # Errors
    /// What keeps the content from being used.
    pub fn from_bytes(content: &[u8]) -> Result<Self, SecretFileError> {
        FORM.parse(content).map(Self::from)
    }

    /// Parses text.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Result<Self, SecretFileError> {
        Self::from_bytes(text.as_bytes())
    }

    /// Returns the places of codes that are short enough to be guessed, for example `line 2`.
    pub fn short_codes(&self) -> &[String] {
        &self.short
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

impl From<SecretList<CodeEntry>> for CodesFile {
    fn from(list: SecretList<CodeEntry>) -> Self {
        Self { entries: list.entries, short: list.short }
    }
}

impl ListedSecret for CodeEntry {
    fn from_line(line: &str) -> Self {
        Self { digest: CodeDigest::of(line), policy: Arc::default() }
    }

    fn from_entry<'a>(cursor: &Cursor<'a>) -> Option<(Self, Option<&'a str>)> {
        let entry = read_entry(cursor)?;
        let text = cursor.as_text().or_else(|| cursor.entries("an entry")?.get("code")?.as_text());
        Some((entry, text))
    }

    fn digest(&self) -> [u8; 32] {
        self.digest.0
    }

    fn name(&self) -> Option<&str> {
        self.policy.name()
    }
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
        assert!(matches!(CodesFile::from_bytes(&[b'-', b' ', 0xff]), Err(SecretFileError::NotText(_))));
    }
}
