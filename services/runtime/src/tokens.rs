//! Access tokens of OAuth issuers: the file that lists the issuers, and the check of a token (RFC 9068, RFC 7662).
//!
//! Tokens are checked and forgotten: no text of a token is kept, but for those of streams whose issuer must be asked again.
//! Must not know HTTP requests of clients, nor what a token is good for.

mod algorithm;
mod claims;
mod discovery;
mod error;
mod fetch;
mod file;
mod follow;
mod introspection;
mod issuer;
mod issuer_state;
mod jwks;
mod jwt;
mod key_source;
mod revocation;
mod scopes;
mod verifier;

pub use claims::TokenIdentity;
pub use discovery::{Discovered, metadata_urls};
pub use error::TokenError;
pub use fetch::{FetchError, Fetcher, Probe};
pub use file::{IssuersError, IssuersFile};
pub use follow::follow_issuers;
pub use issuer::{Issuer, KeyLocation};
pub use revocation::TokenRevocation;
pub use scopes::challenged;
pub use verifier::{AccessToken, TokenVerifier};
