//! Configuration from environment variables: a snapshot, a declared table, and a reader that collects every problem.
//!
//! Knows no variable by name: services declare theirs with [`crate::variables!`] and read them with [`Reader`].

mod declare;
mod hints;
pub mod parse;
mod problems;
mod reader;
pub mod reference;
mod snapshot;
mod table;

#[doc(hidden)]
pub use declare::upper_case;
pub use hints::misspelt;
pub use problems::{Problem, Problems};
pub use reader::{Loaded, Reader};
pub use snapshot::Snapshot;
pub use table::{Content, Fallback, Group, Secrecy, Setting, Spelling, Var};
