//! Failures: why a request got no result of a backend, and what the client is told of it.
//!
//! The only place that makes an HTTP status or a JSON-RPC code. Must not know HTTP responses or links.

mod error_object;
mod explain;
mod kind;
mod reason;

pub use error_object::{code_in, kind_in, message_in, modern_status};
pub use explain::explain_outcome;
pub use kind::{FailureKind, FailureSpec};
pub use reason::Failure;
