//! Files that list secrets: one on each line, or YAML. Problems are reported by line and never quote the file. Must not know
//! what the secrets are for.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::{Cursor, Document, DocumentProblems, Rendered};
use crate::secret::is_short;

/// Form of a kind of file.
#[derive(Clone, Copy, Debug)]
pub struct SecretFile {
    /// A secret in words: `key`.
    pub noun: &'static str,
    /// Key of the list in YAML: `keys`.
    pub list: &'static str,
    /// Largest file that is read, in bytes.
    pub max_bytes: u64,
}

/// What such a file lists.
pub trait ListedSecret: Sized {
    /// Makes the entry of a line of a plain file.
    fn from_line(line: &str) -> Self;
    /// Reads an entry of YAML, with the text of the secret where the file has it. `None` after at least one problem was
    /// recorded.
    fn from_entry<'a>(cursor: &Cursor<'a>) -> Option<(Self, Option<&'a str>)>;
    /// SHA-256 of the secret: no two entries may have the same.
    fn digest(&self) -> [u8; 32];
    /// Name, which is no secret.
    fn name(&self) -> Option<&str>;
}

/// The content of such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretList<T> {
    /// Entries in the order of the file.
    pub entries: Vec<T>,
    /// Places of secrets that are short enough to be guessed, for example `line 2 (name)`.
    pub short: Vec<String>,
}

/// Why a file of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("it cannot be read: {}", crate::io_fault::describe(.0))]
    Unreadable(#[from] io::Error),
    /// The file is not UTF-8 text, or larger than the limit in bytes.
    #[error("it is not UTF-8 text of at most {0} bytes")]
    NotText(u64),
    /// Lines of a plain file are not secrets.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
    /// The YAML has problems.
    #[error(transparent)]
    Yaml(#[from] DocumentProblems),
}

impl SecretFile {
    /// Reads and checks a file, and returns its bytes too. Blocks the thread.
    ///
    /// # Errors
    /// What keeps the file from being used.
    pub fn read<T: ListedSecret>(&self, path: &Path) -> Result<(SecretList<T>, Vec<u8>), SecretFileError> {
        if std::fs::metadata(path)?.len() > self.max_bytes {
            return Err(SecretFileError::NotText(self.max_bytes));
        }
        let content = std::fs::read(path)?;
        Ok((self.parse(&content)?, content))
    }

    /// Parses the content of a file: YAML if the first line begins with the key of the list, `- ` or `---`, otherwise a secret
    /// on each line.
    ///
    /// # Errors
    /// What keeps the content from being used.
    pub fn parse<T: ListedSecret>(&self, content: &[u8]) -> Result<SecretList<T>, SecretFileError> {
        let text = text(content).ok_or(SecretFileError::NotText(self.max_bytes))?;
        if self.is_yaml(text) {
            let document = Document::parse(text, Rendered::Hidden)?;
            Ok(document.read(Rendered::Hidden, |root| self.read_yaml(root))?)
        } else {
            self.read_lines(text).map_err(SecretFileError::Lines)
        }
    }

    /// Returns the entries that can be read, whatever is wrong with others; empty if the file is no such text at all.
    pub fn entries<T>(
        &self,
        content: &[u8],
        read: impl Fn(&Cursor<'_>) -> Option<T>,
        line: impl Fn(&str) -> T,
    ) -> Vec<T> {
        let Some(text) = text(content) else { return Vec::new() };
        if !self.is_yaml(text) {
            return lines(text).map(|(_, found)| line(found)).collect();
        }
        let mut found = Vec::new();
        if let Ok(document) = Document::parse(text, Rendered::Hidden) {
            // Problems in other entries are reported by whoever owns the file.
            let _ = document
                .read(Rendered::Hidden, |root| found = self.items(root).iter().filter_map(read).collect());
        }
        found
    }

    fn is_yaml(&self, text: &str) -> bool {
        let first = lines(text).next();
        first.is_some_and(|(_, line)| {
            let is_list = line.strip_prefix(self.list).is_some_and(|rest| rest.starts_with(':'));
            is_list || line == "-" || line.starts_with("- ") || line.starts_with("---")
        })
    }

    fn read_lines<T: ListedSecret>(&self, text: &str) -> Result<SecretList<T>, Vec<String>> {
        let (mut list, mut problems, mut seen) = (SecretList::default(), Vec::new(), HashMap::new());
        for (number, line) in lines(text) {
            let entry = T::from_line(line);
            if line.contains(',') {
                problems.push(format!("line {number}: expected one {} without commas", self.noun));
            } else if let Some(first) = seen.insert(entry.digest(), number) {
                problems.push(format!("line {number}: expected another {} than line {first} has", self.noun));
            }
            list.add(entry, Some(line), number);
        }
        if problems.is_empty() { Ok(list) } else { Err(problems) }
    }

    /// Reads the entries of YAML. A secret in two entries is a problem: it would have two holders.
    fn read_yaml<T: ListedSecret>(&self, root: &Cursor<'_>) -> SecretList<T> {
        let (mut list, mut seen) = (SecretList::default(), HashMap::new());
        for cursor in self.items(root) {
            let Some((entry, text)) = T::from_entry(&cursor) else { continue };
            if let Some(first) = seen.insert(entry.digest(), cursor.line()) {
                cursor.error(format!("another {} than the entry in line {first} has", self.noun));
            }
            list.add(entry, text, cursor.line());
        }
        list
    }

    fn items<'a>(&self, root: &Cursor<'a>) -> Vec<Cursor<'a>> {
        let expected = format!("a list of {0}, or \"{0}:\" with such a list", self.list);
        if root.is_list() {
            return root.items(&expected);
        }
        let list = root.entries_of(&[self.list]).and_then(|top| top.get(self.list));
        list.filter(|list| !list.is_null()).map(|list| list.items(&expected)).unwrap_or_default()
    }
}

impl<T> Default for SecretList<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), short: Vec::new() }
    }
}

impl<T: ListedSecret> SecretList<T> {
    fn add(&mut self, entry: T, text: Option<&str>, line: u64) {
        if text.is_some_and(is_short) {
            let name = entry.name().map(|name| format!(" ({name})")).unwrap_or_default();
            self.short.push(format!("line {line}{name}"));
        }
        self.entries.push(entry);
    }
}

/// Returns the content as text, without a byte order mark.
fn text(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Returns the lines with their numbers, trimmed, without empty ones and those that begin with `#`.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let lines = (1_u64..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
