//! The OAuth broker: the authorization server that MCP clients expect (OAuth 2.1; RFC 6749, 7009, 7591, 7636, 8414, 8707, 9207), for the
//! users of a file. It stores nothing: client ids, codes and tokens are sealed records, so that any replica serves any step.
//!
//! Must not know MCP, nor what serves its paths.

mod access;
mod address;
mod asked;
mod attempts;
mod authorize;
mod browser;
mod callback;
mod client;
mod client_metadata;
mod clock;
mod consent;
mod documents;
mod elsewhere;
mod fault;
mod form;
mod grant;
mod login;
mod metadata;
mod metrics;
mod once;
mod pages;
mod passwords;
mod provider;
mod redirect;
mod register;
mod reply;
mod request;
mod revocations;
mod revoke;
mod rotation;
mod seal;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod token;
pub mod users;

pub use access::Access;
pub use documents::{DocumentHosts, Documents};
pub use grant::Subject;
pub use metrics::METRICS;
pub use passwords::hash as hash_password;
pub use provider::{Provider, ProviderSettings};
pub use request::BrokerRequest;
pub use revocations::{RevocationsFile, RevokedGrant};
pub use rotation::RotatedGrant;
pub use server::Broker;
pub use settings::{BrokerSettings, PublicUrl};

/// Longest body of a request that the broker reads, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
