//! YAML files of the operator: parsed into a tree that knows its lines, then read by the owner of the format.
//!
//! All problems are reported at once, each with line, path, value and expectation. Knows no format.

mod cursor;
mod node;
mod parse;
mod problem;

pub use cursor::{Cursor, Map};
pub use parse::Document;
pub use problem::{DocumentProblem, DocumentProblems, Rendered};
