//! The MCP-over-HTTP edge, both eras on one endpoint, generic over something that takes calls.
//!
//! Knows HTTP and MCP's rules; must not know links, slaves or backends.
//!
//! [`Edge`] holds what is the same for every request. [`router`] serves it over HTTP;
//! [`Edge::answer_plain`] answers single messages where there is no HTTP (a link of the plain dialect).

mod answer;
pub mod calls;
mod config;
mod edge;
mod http;
mod keys;
mod method;
pub mod metrics;
mod observer;
mod origin;
mod outcome;
mod plain;
mod repoll;
mod revoked;
pub mod server;
mod session;
mod session_cache;
pub mod trace;

pub use answer::Segments;
pub use config::{BindScope, EdgeConfig};
pub use edge::Edge;
pub use http::body::{AnswerBody, Cut};
pub use http::service::{McpService, PATHS, router};
pub use keys::{Keys, Principal};
pub use observer::{NoObserver, Observer};
pub use origin::Origins;
pub use outcome::CallOutcome;
pub use session::SealKey;
