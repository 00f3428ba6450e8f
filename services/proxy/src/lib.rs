//! The proxy: takes calls from clients over HTTP and sends them to slaves over their links.
//!
//! Stateless, and runs no tools itself. Must not know the slave's crate: what both share is in `protocol`.

pub mod access;
mod balance;
pub mod config;
mod dispatch;
mod fleet;
mod limits;
mod links;
pub mod metrics;
pub mod routes;
mod run;
mod setup;
mod slave_state;
mod stable_hash;
mod start_window;
mod status;
mod sync;
mod tls;
mod trace;

pub use run::{RunError, run};
pub use setup::Setup;
