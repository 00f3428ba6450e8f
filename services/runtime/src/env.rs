//! Configuration from environment variables: a snapshot, a declared table, and a reader that collects every problem.
//!
//! Knows no variable by name: services declare theirs with [`crate::variables!`] and read them with [`Reader`].

mod hints;
pub mod parse;
mod problems;
mod reader;
pub mod reference;
mod snapshot;
mod table;

pub use hints::misspelt;
pub use problems::{Problem, Problems};
pub use reader::{Loaded, Reader};
pub use snapshot::Snapshot;
#[doc(hidden)]
pub use table::upper_case;
pub use table::{Fallback, Group, Secrecy, Setting, Var};
