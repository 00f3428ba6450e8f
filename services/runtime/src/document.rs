//! YAML files of the operator: parsed into a tree of values with their lines, then read by the code that owns the
//! format.
//!
//! All problems are reported at once, each with line, path, value and expectation. Must not know any format.

mod cursor;
pub mod fields;
mod json;
mod node;
mod parse;
mod problem;
mod secret_file;

pub use cursor::{Cursor, Map};
pub use parse::Document;
pub use problem::{DocumentProblem, DocumentProblems, Rendered};
pub use secret_file::{ListedSecret, SecretFile, SecretFileError, SecretList};
