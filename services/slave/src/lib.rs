//! The slave: connects to proxies, holds the credentials and runs the tools through backends.
//!
//! Must not know the proxy's crate: what both share is in `protocol`.

pub mod backends;
mod bridge;
pub mod call;
mod client_streams;
pub mod config;
mod dial;
mod endpoint;
pub mod executor;
mod identity_tokens;
pub mod launcher;
mod link;
pub mod local;
pub mod metrics;
mod outcome;
mod retention;
mod run;
mod splice;
mod status;
mod subscriptions;
mod task_owners;
mod trace;

pub use dial::DialError;
pub use identity_tokens::{IdentityTokens, KeyFileError, SigningKeys};
pub use retention::RetentionLimits;
pub use run::{
    RunError, backends_file, backends_file_of, executor_config, http_servers, missing_pilot, run, tools_file,
    tools_file_of,
};
