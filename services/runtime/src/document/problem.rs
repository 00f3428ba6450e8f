//! What is wrong with a file, all of it. Knows nothing of YAML.

use std::cell::RefCell;
use std::fmt;

/// Whether values of a file may stand in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// They may.
    Open,
    /// They may be secrets.
    Hidden,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentProblem {
    /// Line in the file, from 1; 0 if it is not known.
    pub line: u64,
    /// Where inside, say `rules[2].match.tool`; empty for the whole.
    pub place: String,
    /// The value as it may be shown, with its `=`, or empty.
    pub value: String,
    /// What it should have been, to be read after "expected".
    pub expected: String,
}

impl DocumentProblem {
    /// Line, place and value.
    pub fn what(&self) -> String {
        let mut words = Vec::new();
        if self.line != 0 {
            words.push(format!("line {}", self.line));
        }
        words.extend([&self.place, &self.value].into_iter().filter(|word| !word.is_empty()).cloned());
        words.join(" ")
    }
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.what(), self.expected)
    }
}

/// Everything that is wrong with a file, by line. Never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentProblems(pub Vec<DocumentProblem>);

impl fmt::Display for DocumentProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentProblems {}

/// Where places put what they find wrong.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) shown: Rendered,
    pub(super) list: RefCell<Vec<DocumentProblem>>,
}

impl Notes {
    pub(super) fn finish<T>(self, value: T) -> Result<T, DocumentProblems> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| problem.line);
        list.dedup();
        if list.is_empty() { Ok(value) } else { Err(DocumentProblems(list)) }
    }
}
