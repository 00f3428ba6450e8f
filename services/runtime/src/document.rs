//! YAML files of the operator's: read into a tree that knows its lines, then looked through by whoever owns the format.
//!
//! Every problem is told at once, each with line, place, value and what was expected. Knows no format.

mod cursor;
mod node;
mod problem;

pub use cursor::{Cursor, Map};
pub use node::Document;
pub use problem::{DocumentProblem, DocumentProblems, Rendered};
