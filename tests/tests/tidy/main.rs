//! House rules that a compiler does not hold: directions between crates, sizes, documents in step with the code.
//!
//! Reads sources as text. A rule that fails names the file and what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod directions;
mod documents;
mod graph;
mod imports;
mod sizes;
mod source;
mod words;
