//! The tool `review_merge_request`: the `mr-pilot` CLI, run without a shell, its report turned into a structured result.
//!
//! Must not know MCP beyond tools.

mod arguments;
mod backend;
mod cli;
mod config;
mod dotenv;
mod offer;
mod outcome;
mod progress;
mod report;
mod result;
mod unpassed;

pub(super) use backend::exit_of;
pub(crate) use config::NAME;
pub(super) use config::is_secret;
pub use config::{Comments, PilotConfig, ReviewPolicy};
pub(crate) use offer::prepare;
