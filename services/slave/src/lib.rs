//! The slave: dials out to proxies, holds the credentials and runs the tools through backends.
//!
//! Must not know the proxy's crate; what both agree on stands in `protocol`.

mod adapt;
pub mod backends;
pub mod config;
pub mod executor;
pub mod local;
pub mod metrics;
