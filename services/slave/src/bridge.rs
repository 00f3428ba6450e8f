//! The bridge between eras where a backend asks the client of a call (docs/ERAS.md).
//!
//! A legacy backend asks while the call runs; a modern client answers by a retry (2026-07-28, "Multi Round-Trip Requests"). Between
//! the two the running call is parked in this process: it goes on, its backend waits, and nobody reads it. Must not know particular
//! backends, links or the executor.

mod asking;
mod capability;
mod held;
mod input;
mod parked;
mod retry;
mod seal;
mod sink;

pub(crate) use asking::{CallTimers, Parking};
pub(crate) use parked::ParkedCalls;
pub(crate) use retry::Retry;
pub(crate) use sink::AskingSink;

/// Requests that a result may ask for input in place of an answer (2026-07-28, "Supported Requests").
pub(crate) const MAY_REQUIRE_INPUT: [&str; 3] = ["prompts/get", "resources/read", "tools/call"];
