//! MCP servers that are reached over HTTP: Streamable HTTP in both eras, and the transport of 2024-11-05 with its endpoint for events.
//!
//! Carries messages between a JSON-RPC session and the server. Must not know the session, nor calls: what arrives goes to an [`Inbox`].

mod config;
mod fault;
mod legacy_events;
mod outgoing;
mod response;
mod state;
mod streamable;
mod upstream;

use bytes::Bytes;
use protocol::mcp::failure::Failure;
use tokio::sync::mpsc;

pub use config::{HttpServer, HttpTransport};
pub(crate) use upstream::Upstream;

/// Where messages of a server go.
pub(crate) trait Inbox: Send + Sync + 'static {
    /// Takes a message; `of` is the request on whose stream it came, if it came on one's.
    fn message(&self, of: Option<u64>, message: Bytes);

    /// Ends a request without an answer, if it waits for one.
    fn failed(&self, id: u64, failure: Failure);

    /// Returns whether a request waits for its answer.
    fn waits(&self, id: u64) -> bool;
}

/// Carries the messages until the server cannot be reached any more, and returns the reason. Dropping the future ends all exchanges.
pub(crate) async fn run(upstream: &std::sync::Arc<Upstream>, messages: mpsc::Receiver<Bytes>) -> String {
    match upstream.server.transport {
        HttpTransport::Streamable => streamable::run(upstream, messages).await,
        HttpTransport::Events => legacy_events::run(upstream, messages).await,
    }
}
