//! The collected problems of a file. Must not know YAML.

use std::cell::RefCell;
use std::fmt;

/// The visibility of a file's values in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// Values may be shown.
    Open,
    /// Values may be secrets and are left out.
    Hidden,
}

/// A problem at a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentProblem {
    /// Line in the file, from 1; 0 if it is not known.
    pub line: u64,
    /// Path inside the file, for example `rules[2].match.tool`; empty for the whole file.
    pub path: String,
    /// The value as messages may show it, after `=`; or empty.
    pub value: String,
    /// Expectation, to be read after the word "expected".
    pub expected: String,
}

impl DocumentProblem {
    /// Returns line, path and value as text.
    pub fn location(&self) -> String {
        let mut words = Vec::new();
        if self.line != 0 {
            words.push(format!("line {}", self.line));
        }
        words.extend([&self.path, &self.value].into_iter().filter(|word| !word.is_empty()).cloned());
        words.join(" ")
    }
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.location(), self.expected)
    }
}

/// All problems of a file, sorted by line. Never empty when returned as an error.
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

/// The problems noted so far, shared by all cursors on a file.
#[derive(Debug)]
pub(super) struct ProblemList {
    /// The visibility of values in the problems.
    pub(super) shown: Rendered,
    list: RefCell<Vec<DocumentProblem>>,
}

impl ProblemList {
    pub(super) fn new(shown: Rendered) -> Self {
        Self { shown, list: RefCell::default() }
    }

    pub(super) fn push(&self, problem: DocumentProblem) {
        self.list.borrow_mut().push(problem);
    }

    /// Returns the value if there was no problem, otherwise all problems sorted by line.
    pub(super) fn finish<T>(self, value: T) -> Result<T, DocumentProblems> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| problem.line);
        list.dedup();
        if list.is_empty() { Ok(value) } else { Err(DocumentProblems(list)) }
    }
}
