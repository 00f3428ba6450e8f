//! Changes of a slave's files while it runs: its backends, and its code.

mod backends;
mod code;
