//! The bridge between eras, where a backend asks the client of a call (docs/ERAS.md).
//!
//! A legacy backend asks while the call runs; a modern client answers by a retry (2026-07-28, "Multi Round-Trip Requests"). Between
//! the two the running call is parked in this process: it goes on, its backend waits, and nobody reads it. A modern
//! backend asks by its result; a legacy client answers while the call runs, and the retry is made here. Must not know particular
//! backends, links or the executor.

mod asking;
mod call;
mod capability;
mod crossing;
mod errors;
mod held;
mod input;
mod legacy_client;
mod parked;
mod retry;
#[cfg(test)]
mod round_tests;
mod rounds;
mod seal;
mod sink;
mod task_notes;
mod tasks;
#[cfg(test)]
mod tests;

pub(crate) use asking::{CallTimers, ParkedCalls, Parking};
pub(crate) use call::call;
pub(crate) use crossing::Crossing;
pub(crate) use input::MAY_REQUIRE_INPUT;
pub(crate) use legacy_client::{LegacyAskSink, OpenAsks};
pub(crate) use retry::Retry;
pub(crate) use sink::AskingSink;
pub(crate) use tasks::{Shown, TaskIds, TaskName, owner_digest};
