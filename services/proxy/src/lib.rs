//! The proxy: takes calls from clients over HTTP and sends them to slaves over their links.
//!
//! Stateless, and runs no tools itself. Must not know the slave's crate: what both share is in `protocol`.

pub mod codes;
pub mod config;
mod dispatch;
mod links;
pub mod metrics;
mod outliers;
mod rate;
pub mod routes;
mod run;
mod secure;
mod slave_state;
mod status;
mod trace;

pub use run::{RunError, run};
