//! Rules of the code base that a compiler does not check: import directions, cycles, names, sizes, and documents that agree
//! with the code.
//!
//! Reads sources as text and as syntax trees. A failing rule names the file and what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod architecture;
mod citations;
mod directions;
mod documents;
mod graph;
mod imports;
mod links;
mod pins;
mod printing;
mod promises;
mod sizes;
mod source;
mod tuples;
mod words;
