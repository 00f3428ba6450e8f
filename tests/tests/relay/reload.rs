//! A slave's files change while it runs: its backends, and its code.

mod backends;
mod code;
