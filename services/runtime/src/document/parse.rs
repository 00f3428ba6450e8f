//! The parser of YAML files, and the entry point for their readers. Must not know the format that a file has.

use serde_saphyr::Spanned;

use super::cursor::Cursor;
use super::node::{Kind, Node};
use super::problem::{DocumentProblem, DocumentProblems, ProblemList, Rendered};

/// What the parser advises programmers, which nobody who writes a file can follow.
const ADVICE: &str = ", set DuplicateKeyPolicy in Options if acceptable";

/// A YAML file, parsed.
#[derive(Clone, Debug)]
pub struct Document(Node);

impl Document {
    /// Parses a YAML document; an empty document is an empty mapping. Duplicate keys, several documents, and aliases
    /// that expand without bound are refused.
    pub fn parse(text: &str, shown: Rendered) -> Result<Self, DocumentProblems> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        match serde_saphyr::from_str_with_options::<Option<Spanned<Kind>>>(text, options) {
            Ok(node) => {
                let empty = Node { line: 1, kind: Kind::Map(Vec::new()) };
                let node = node.map(Node::from).filter(|node| !matches!(node.kind, Kind::Null));
                Ok(Self(node.unwrap_or(empty)))
            }
            Err(error) => {
                let line = error.location().map_or(0, |location| location.line());
                // The parser's messages quote the file.
                let expected = match shown {
                    Rendered::Open => {
                        let why = error.without_snippet().to_string().replace(ADVICE, "");
                        format!("YAML that can be read ({why})")
                    }
                    Rendered::Hidden => "YAML that can be read, without duplicate keys".to_owned(),
                };
                let problem = DocumentProblem { line, path: String::new(), value: String::new(), expected };
                Err(DocumentProblems(vec![problem]))
            }
        }
    }

    /// Calls `owner` with a cursor on the root. The error contains every problem that `owner` notes.
    pub fn read<T>(
        &self,
        shown: Rendered,
        owner: impl FnOnce(&Cursor<'_>) -> T,
    ) -> Result<T, DocumentProblems> {
        let problems = ProblemList::new(shown);
        let value = owner(&Cursor::root(&self.0, &problems));
        problems.finish(value)
    }
}
