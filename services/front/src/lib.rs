//! The MCP-over-HTTP edge: both eras of MCP on one endpoint, generic over an implementation of tool calls
//! ([`calls::Calls`]).
//!
//! [`Edge`] holds the state that all requests share. [`router`] serves it over HTTP; [`Edge::answer_plain`] answers
//! single messages without HTTP, for a link of the plain dialect. Must not know links, slaves or backends.

mod access;
mod authority;
pub mod calls;
mod client;
mod config;
mod edge;
mod http;
mod introduction;
mod jsonrpc;
mod list_changes;
mod listeners;
mod listing;
mod method;
pub mod metrics;
mod open_streams;
mod outcome;
mod plain;
mod principal;
mod repoll;
mod revoked;
pub mod server;
mod session;
mod session_cache;
mod sync;
pub mod trace;
mod usage;

pub use access::AccessReport;
pub use authority::{Answering, Authority, Issued, TokenEnd};
pub use config::{BindScope, EdgeConfig};
pub use edge::Edge;
pub use http::response_body::ResponseBody;
pub use http::response_stream::BodyAborted;
pub use http::service::{McpService, PATHS, router};
pub use introduction::Introduction;
pub use jsonrpc::Segments;
pub use listing::{EntryRules, ListingAccess, ServerAccess};
pub use outcome::CallOutcome;
pub use principal::{AccessToken, Credential, Principal};
